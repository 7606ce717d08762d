"""One frame of `runstate top`: what a picture of a journal looks like at a width and a height.

From top to bottom: the journal, what lives, how executions have ended lately, the one that has lived longest; then the live
executions, the workers and the unhappy ends, each under a heading; the last line is free for keys and questions. Where the height is
bounded the executions come first, but the other two always keep a few lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from rich.text import Text

from runstate import ExecutionState, Worker, WorkerState

from ._console import moment, short_id, shown, state_text, without_password
from ._fleet import worker_text
from ._top_board import WINDOW, LiveRow, Unhappy
from ._top_columns import Column, Fitted
from ._top_watch import Picture

T = TypeVar("T")

_NAME: Final = 24
"""Cells that a name gets at most."""
_WHOLE: Final = 1_000
"""Characters of a text that are looked at."""
_FEW: Final = 3
"""Workers, and unhappy ends, that a bounded frame shows at least, if there are so many and the frame is not lower than usual."""
_SHARE: Final = 6
"""Which part of the lines each of them may claim."""
_ROOM_FOR_IDS: Final = 140
"""Cells from which on ids are shown whole."""
_UNBOUNDED: Final = (100, 50, 50)
"""Live executions, workers and unhappy ends that a frame without a height shows at most."""
_HEADINGS: Final = 4
"""Lines of headings: two over the executions, one over each of the others."""


class Look(NamedTuple):
    """What of the executions is to be seen."""

    rows: Sequence[LiveRow]
    """Those that pass the filter, in their order."""
    order: str
    """How they are ordered, for people."""
    filtered: str = ""
    """By what they are filtered."""
    selected: int | None = None
    """Which is selected."""
    top: int = 0
    """Which was the first to be seen in the last frame."""


class Frame(NamedTuple):
    """What is to be shown."""

    lines: Sequence[Text]
    top: int
    """Which execution is the first to be seen."""
    page: int
    """How many are to be seen at once."""


def frame(picture: Picture, journal: str, look: Look, width: int, height: int | None) -> Frame:
    """Compose a frame.

    Args:
        picture: What is known of the journal.
        journal: Its name.
        look: What of the executions is to be seen.
        width: Cells of a line.
        height: Lines; None takes what is needed, up to some bounds.
    """
    head = _head(picture, journal, width)
    live, workers, ends = len(look.rows), _workers_in_order(picture.workers), picture.unhappy
    if height is None:
        page, some, few = (min(*both) for both in zip((live, len(workers), len(ends)), _UNBOUNDED, strict=True))
    else:
        page, some, few = _shares(height - len(head) - _HEADINGS, live, len(workers), len(ends))
    top = _scrolled(look, page)
    columns = Fitted(_live_columns(look.rows, picture.at_ns, width), width - 2)
    lines = [*head, _live_heading(look, top, page, width), Text("  ").append_text(columns.head())]
    lines[-1].stylize("bold")
    for number, row in enumerate(look.rows[top : top + page], top):
        line = Text("> " if number == look.selected else "  ").append_text(columns.row(row))
        if number == look.selected:
            line.stylize("reverse")
        lines.append(line)
    if height is not None:
        lines += [Text("")] * (height - _HEADINGS - len(head) - some - few - min(page, live))
    lines.append(_heading("workers", some, len(workers), width))
    worker_columns = Fitted(_worker_columns(workers), width - 2)
    lines += [Text("  ").append_text(worker_columns.row(worker)) for worker in workers[:some]]
    lines.append(_heading("unhappy ends", few, len(ends), width, "the newest first"))
    end_columns = Fitted(_end_columns(ends[:few], picture.at_ns, width), width - 2)
    lines += [Text("  ").append_text(end_columns.row(end)) for end in ends[:few]]
    for line in lines:
        line.truncate(width)
    return Frame(lines, top, page)


def brief(seconds: float) -> str:
    """A duration in at most six characters, the sign not counted."""
    if seconds < 0:
        return f"-{brief(-seconds)}"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02d}h" if days < 1_000 else f"{days}d"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def owner_name(incarnation: str) -> str:
    """A worker by its host and process id, if its name is made of them as usual; else by its name."""
    place, separator, boot = incarnation.rpartition(":")
    return place if separator and place and len(boot) == 16 else incarnation


def _head(picture: Picture, journal: str, width: int) -> list[Text]:
    title = (
        Text().append("runstate top ", "bold").append_text(shown(without_password(journal), limit=max(20, width - 38)))
    )
    title.append(f"  {moment(picture.at_ns).partition('.')[0]} UTC", "dim")
    lines = [title]
    if picture.away is not None:
        why = picture.away.partition(": ")[2] or picture.away  # what comes first names the journal once more
        lines.append(Text().append("AWAY, what is below is old: ", "bold red").append_text(_name(why)))
    counts = Counter(row.state for row in picture.live)
    live = (
        Text()
        .append("live ", "bold")
        .append(f"{len(picture.live):,}{'+' if picture.is_cut else ''}", "bold")
        .append(" ")
    )
    lines.append(live.append_text(_counted(counts, (state for state in ExecutionState if not state.is_terminal))))
    ended = picture.ended
    span = "last minute" if ended.seconds >= WINDOW else f"last {ended.seconds:.0f} s"
    said = Text().append(f"{span} ", "bold")
    lines.append(said.append_text(_counted(ended.by_state, (state for state in ExecutionState if state.is_terminal))))
    rates = Text().append("completion ", "bold").append_text(_rate(ended.completion, 0.95))
    rates.append("  reliability ", "bold").append_text(_rate(ended.reliability, 0.99))
    rates.append(f"  ended {ended.by_state.total() / max(1.0, ended.seconds):,.1f}/s", "dim")
    lines += [rates, _oldest(picture, width)]
    if picture.is_cut:
        lines.append(Text("too many live: what is shown of them is a part, and older ones may be missing", "yellow"))
    return lines


def _counted(counts: Counter[ExecutionState], states: Iterable[ExecutionState]) -> Text:
    text = Text()
    for state in states:
        one = Text(f" {counts[state]:,} ").append_text(state_text(state))
        if not counts[state]:
            one.stylize("dim")
        text.append_text(one)
    return text


def _rate(rate: float | None, wanted: float) -> Text:
    if rate is None:
        return Text("-")
    percent = int(rate * 1_000) / 10  # rounded down: 100 means all of them
    return Text(f"{percent:.1f} %", "green" if rate >= wanted else "bold red")


def _oldest(picture: Picture, width: int) -> Text:
    text = Text().append("oldest live ", "bold")
    if not picture.live:
        return text.append("none", "dim")
    row = min(picture.live, key=lambda row: row.created_at_ns)
    now = picture.at_ns
    text.append(brief((now - row.created_at_ns) / 1e9), "yellow").append(" ")
    text.append_text(_name(row.execution_id if width >= _ROOM_FOR_IDS else short_id(row.execution_id)))
    text.append(" ").append_text(state_text(row.state)).append(f" silent {brief((now - row.sign_at_ns) / 1e9)} ")
    return text.append_text(_name(row.agent)).append(" ").append_text(_name(row.thread_id, "dim"))


def _shares(room: int, live: int, workers: int, ends: int) -> tuple[int, int, int]:
    """How many lines the executions, the workers and the unhappy ends get."""
    claim = max(_FEW, room // _SHARE) if room > 3 * _FEW else 1
    some, few = min(workers, claim), min(ends, claim)
    page = max(1, min(live, room - some - few))
    left = max(0, room - page - some - few)
    some += min(workers - some, left // 2)
    left = max(0, room - page - some - few)
    few += min(ends - few, left)
    left = max(0, room - page - some - few)
    return page, some + min(workers - some, left), few


def _scrolled(look: Look, page: int) -> int:
    """Which execution comes first, so that the selected one is to be seen and as little moves as possible."""
    top = max(0, min(look.top, len(look.rows) - page))
    if look.selected is None:
        return top
    return max(look.selected - page + 1, min(top, look.selected))


def _live_heading(look: Look, top: int, page: int, width: int) -> Text:
    of = f"{top + 1:,}-{min(top + page, len(look.rows)):,} of {len(look.rows):,}" if look.rows else "none"
    text = Text(f"executions {of}, {look.order}")
    if look.filtered:
        text.append(", with ").append_text(_name(look.filtered))
    if look.selected is not None and width < _ROOM_FOR_IDS:
        text.append("  ").append_text(_name(look.rows[look.selected].execution_id))
    return _ruled(text, width)


def _heading(what: str, shown_of_them: int, count: int, width: int, order: str = "") -> Text:
    of = "none" if not count else f"{count:,}" if shown_of_them == count else f"{shown_of_them:,} of {count:,}"
    return _ruled(Text(f"{what} {of}{', ' + order if order and count else ''}"), width)


def _ruled(text: Text, width: int) -> Text:
    """A heading as wide as the terminal, or as its words where there is no end to the line."""
    text.append(" " * min(max(0, width - text.cell_len), 200))
    text.stylize("bold underline")
    return text


def _live_columns(rows: Sequence[LiveRow], now_ns: int, width: int) -> list[Column[LiveRow]]:
    def since(at_ns: int) -> str:
        return brief((now_ns - at_ns) / 1e9)

    is_wide = width >= _ROOM_FOR_IDS
    ids: Callable[[str], str] = str if is_wide else short_id
    return [
        Column("execution", lambda row: _name(ids(row.execution_id)), 32 if is_wide else 9, 9, 0),
        Column("state", lambda row: state_text(row.state), 10, 10, 1),
        Column("phase", _phase, _widest(rows, _phase_length, 40), 18, 4),
        Column("silent", lambda row: _silence(row, since(row.sign_at_ns)), 6, 6, 2, is_right=True),
        Column("age", lambda row: Text(since(row.created_at_ns)), 6, 6, 3, is_right=True),
        Column("agent", lambda row: _name(row.agent), _widest(rows, lambda row: len(row.agent)), 8, 5),
        Column("thread", lambda row: _name(row.thread_id), _widest(rows, lambda row: len(row.thread_id)), 8, 6),
        Column("user", lambda row: _name(row.user_id), _widest(rows, lambda row: len(row.user_id)), 6, 7),
        Column(
            "owner",
            lambda row: _name(owner_name(row.incarnation), "dim"),
            _widest(rows, lambda row: len(row.incarnation)),
            10,
            8,
        ),
    ]


def _phase(row: LiveRow) -> Text:
    if row.phase is None:
        return Text("")
    text = Text(row.phase.name)
    return text.append(" ").append_text(_name(row.detail, "dim")) if row.detail else text


def _phase_length(row: LiveRow) -> int:
    return 0 if row.phase is None else len(row.phase.name) + (len(row.detail) + 1 if row.detail else 0)


def _silence(row: LiveRow, since: str) -> Text:
    return Text(since, "bold magenta" if row.warned is not None else "")


def _worker_columns(workers: Sequence[Worker]) -> list[Column[Worker]]:
    def renewed(worker: Worker) -> Text:
        if worker.lease is None:
            return Text("never joined", "dim")
        if worker.renewed_age is None:
            return Text("renewed before a reboot", "dim")
        return Text(f"renewed {brief(worker.renewed_age)} ago, lease {brief(worker.lease)}", "dim")

    def why(worker: Worker) -> Text:
        if worker.fence is None:
            return Text("")
        text = Text().append(worker.fence.cause.name, "magenta")
        return text.append(" ").append_text(_name(worker.fence.reason, "dim"))

    return [
        Column(
            "worker",
            lambda one: _name(owner_name(one.incarnation)),
            _widest(workers, lambda one: len(owner_name(one.incarnation))),
            12,
            0,
        ),
        Column("state", worker_text, 13, 13, 1),
        Column("live", lambda one: Text(f"{one.live:,} live"), 11, 8, 2, is_right=True),
        Column("renewed", renewed, 32, 14, 3),
        Column("fence", why, 60 if any(one.fence is not None for one in workers) else 5, 5, 4),
    ]


def _workers_in_order(workers: Sequence[Worker]) -> list[Worker]:
    """Those that are not well first, then the busiest."""

    def is_well(worker: Worker) -> bool:
        return worker.state is WorkerState.ALIVE and not worker.expired and worker.gone is None

    return sorted(workers, key=lambda one: (is_well(one), -one.live))


def _end_columns(ends: Sequence[Unhappy], now_ns: int, width: int) -> list[Column[Unhappy]]:
    is_wide = width >= _ROOM_FOR_IDS
    ids: Callable[[str], str] = str if is_wide else short_id
    return [
        Column("execution", lambda end: _name(ids(end.execution_id)), 32 if is_wide else 9, 9, 0),
        Column("ago", lambda end: Text(brief((now_ns - end.at_ns) / 1e9)), 6, 6, 2, is_right=True),
        Column("cause", lambda end: state_text(end.state, end.cause), _widest(ends, _cause_length, 29), 16, 1),
        Column("agent", lambda end: _name(end.agent), _widest(ends, lambda end: len(end.agent)), 6, 4),
        Column("thread", lambda end: _name(end.thread_id), _widest(ends, lambda end: len(end.thread_id)), 6, 5),
        Column(
            "error", lambda end: _name(end.error, "dim"), _widest(ends, lambda end: len(end.error or ""), 200), 12, 3
        ),
    ]


def _cause_length(end: Unhappy) -> int:
    return len(end.state.name) + (0 if end.cause is None else len(end.cause.name) + 1)


def _name(text: str | None, style: str = "") -> Text:
    return shown(text, style, limit=_WHOLE)


def _widest(things: Sequence[T], length: Callable[[T], int], at_most: int = _NAME) -> int:
    """Cells that the longest text takes; a guess, as escapes and wide characters are not counted."""
    return min(at_most, max(map(length, things), default=0))
