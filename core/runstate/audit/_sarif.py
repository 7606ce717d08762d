"""A report as SARIF 2.1.0, which code hosts show beside the lines that it is about."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote

import runstate

from ._model import Finding
from ._rules import RULES

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json]"

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT: Final = "runstate/v1"


def sarif(findings: Sequence[Finding]) -> dict[str, Json]:
    """Describe findings as one SARIF log. Paths below the current directory are relative to `%SRCROOT%`."""
    numbers = {rule.id: number for number, rule in enumerate(RULES)}
    driver: dict[str, Json] = {
        "name": "runstate",
        "semanticVersion": runstate.__version__,
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.summary},
                "help": {"text": rule.remedy},
                "defaultConfiguration": {"level": rule.level.value},
            }
            for rule in RULES
        ],
    }
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, numbers[one.rule]) for one in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(one: Finding, number: int) -> dict[str, Json]:
    return {
        "ruleId": one.rule,
        "ruleIndex": number,
        "level": one.level.value,
        "message": {"text": f"{one.message}; {one.remedy}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _location(one.path),
                    "region": {"startLine": one.line, "startColumn": one.column},
                }
            }
        ],
        "partialFingerprints": {FINGERPRINT: one.fingerprint},
    }


def _location(path: str) -> dict[str, Json]:
    relative = Path(os.path.relpath(path))
    if relative.parts[:1] == ("..",):
        return {"uri": Path(path).absolute().as_uri()}
    name = quote(relative.as_posix().encode("utf-8", "surrogateescape"))
    return {"uri": name, "uriBaseId": "%SRCROOT%"}
