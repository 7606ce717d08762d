"""Ids without a table: every facade's id ends with the 32 hexadecimal digits of runstate's own, so each reads them all.

A hands out `uuid.UUID`, B `exec_<digits>`, C `<agent>_<run>_<ms>_<digits>`; none is stored anywhere.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from .. import UnknownExecutionError

_DIGITS: Final = re.compile(r"(?:^|[^0-9a-f])([0-9a-f]{32})$")
_HYPHENS: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def core_id(execution_id: object) -> str:
    """Read runstate's id out of any facade's.

    Args:
        execution_id: A `uuid.UUID`, or a text that ends with the 32 digits, with hyphens or without.

    Raises:
        UnknownExecutionError: It is no such id, so no execution can have it.
    """
    if isinstance(execution_id, uuid.UUID):
        return execution_id.hex
    if isinstance(execution_id, str):
        text = execution_id.lower()
        if digits := _DIGITS.search(text):
            return digits[1]
        if hyphens := _HYPHENS.search(text):
            return hyphens[0].replace("-", "")
        raise UnknownExecutionError(execution_id)
    raise UnknownExecutionError(repr(execution_id))
