"""The table of mistakes: which checker finds what, and what stands behind what none does."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from ..documents import DOCS
from .reports import CHECKERS, Report, mistakes, reports
from .tables import blocks
from .walls import WALLS, seen

MISTAKES = mistakes()
RUNNABLE = [one for one in MISTAKES if one.file != "legacy"]

PYTHONS_OWN = {"AttributeError", "FrozenInstanceError", "KeyError", "NotBoundError", "RuntimeWarning", "TypeError"}
"""What Python itself says of a mistake, or an error with a message of ours that a checker foretells."""

TOLERATED = {
    ("pyright", "reportMissingModuleSource"),  # only the stubs are there, and not the legacy trackers
    ("basedpyright", "reportMissingModuleSource"),
}
"""What a checker says of lines that are not wrong."""


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """What each checker says; each runs once."""
    return reports(tmp_path_factory.mktemp("mistakes").resolve())


@pytest.fixture(scope="session")
def walls() -> dict[str, str | None]:
    """What is seen when a mistake is made."""
    return {one.name: seen(one) for one in RUNNABLE}


def test_there_are_many() -> None:
    """There are over a hundred mistakes, each with a name and a description of its own and a line that is wrong."""
    assert len(MISTAKES) > 100
    assert [name for name, count in Counter(one.name for one in MISTAKES).items() if count > 1] == []
    assert [text for text, count in Counter(one.description for one in MISTAKES).items() if count > 1] == []
    assert [one.name for one in MISTAKES if not one.lines or not re.fullmatch(r"[^|]+\.", one.description)] == []


@pytest.mark.checkers
@pytest.mark.parametrize("checker", CHECKERS)
def test_nothing_else_is_reported(checker: str, found: dict[str, Report]) -> None:
    """With the settings that the document shows, a checker has nothing to say of a line that is not wrong."""
    assert [one for one in found[checker].elsewhere if (checker, one.rule) not in TOLERATED] == []


@pytest.mark.checkers
def test_mypy_finds_all_that_types_express(found: dict[str, Report]) -> None:
    """Python's types with the plugin find every mistake but those that say why they cannot."""
    assert {one.name for one in MISTAKES if one.name not in found["mypy"].found} == {
        one.name for one in MISTAKES if one.why is not None
    }


@pytest.mark.checkers
def test_no_other_checker_finds_what_mypy_misses(found: dict[str, Report]) -> None:
    """What mypy with the plugin does not find, no other checker does."""
    missed = {one.name for one in MISTAKES if one.name not in found["mypy"].found}
    by_others = {(checker, name) for checker in CHECKERS for name in missed & found[checker].found.keys()}
    assert by_others == set()


def test_what_nothing_refuses_says_why(walls: dict[str, str | None]) -> None:
    """Every mistake is refused, warned of or ended at run time, but those that say why nothing does."""
    assert {name for name, wall in walls.items() if wall is None} == {
        one.name for one in RUNNABLE if one.unchecked is not None
    }


def test_what_types_cannot_express_meets_a_wall(walls: dict[str, str | None]) -> None:
    """A mistake that no type can express meets a wall of runstate, or says why there is none."""
    hidden = [one for one in RUNNABLE if one.why is not None]
    assert {one.name: walls[one.name] for one in hidden if walls[one.name] not in {*WALLS, None}} == {}
    assert len([one for one in hidden if walls[one.name] is not None]) > 10


def test_every_wall_is_known(walls: dict[str, str | None]) -> None:
    """What is seen at run time is one of runstate's walls, or what Python itself says."""
    assert {wall for wall in walls.values() if wall is not None} <= {*WALLS, *PYTHONS_OWN}


@pytest.mark.checkers
def test_the_documents_are_up_to_date(found: dict[str, Report], walls: dict[str, str | None]) -> None:
    """The generated blocks of `docs/static.md` and of the README are what the checkers say now."""
    expected = blocks(found, walls)
    pattern = re.compile(r"^<!-- mistakes: (\w+) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
    shown = dict(pattern.findall((DOCS / "static.md").read_text(encoding="utf-8")))
    assert shown == expected
    quoted = dict(pattern.findall((DOCS.parent / "README.md").read_text(encoding="utf-8")))
    assert {name: expected[name] for name in quoted} == quoted


def test_the_issue_is_the_first() -> None:
    """The table begins with the line of issue #305, which is refused at run time too."""
    assert MISTAKES[0].name == "dict_as_state"
    assert seen(MISTAKES[0]) == "StateTypeError"
