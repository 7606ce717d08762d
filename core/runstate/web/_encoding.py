"""JSON as it goes over the wire.

The characters that mean something in HTML are escaped, so that no text of a user is ever markup, wherever a page or a proxy puts it.
"""

from __future__ import annotations

from typing import Final

from pydantic_core import to_json

_LINE_BREAKS: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
"""Characters at which some readers of event streams begin a new line."""


def encode(value: object) -> bytes:
    """Encode plain data as one line of JSON without `<`, `>` and `&`, whatever is taken for the end of a line.

    All of these stand only inside strings in JSON, where an escape means the same.
    """
    encoded = to_json(value, inf_nan_mode="null")
    if b"<" in encoded or b">" in encoded or b"&" in encoded:
        encoded = encoded.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")
    for character, escape in _LINE_BREAKS:
        if character in encoded:
            encoded = encoded.replace(character, escape)
    return encoded
