"""Streams of LangChain that are left before their end, and streams that are not, though something in them is."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)

from runstate import Cause, ExecutionState, ExecutionTracker
from runstate.contrib import counts

from .chats import config
from .runs import ended, only

SAID = "LH 400"


def _model() -> FakeListChatModel:
    """Streams letter by letter."""
    return FakeListChatModel(responses=[SAID])


def _spelled(_: object) -> Iterator[str]:
    yield from SAID


def _first(chunks: Iterator[Any]) -> Iterator[str]:
    """Take one chunk and leave the rest."""
    for chunk in chunks:
        yield str(chunk.content)
        return


def _asking(question: object) -> Iterator[str]:
    """Ask a model, and leave its stream after one chunk."""
    yield from _first(_model().stream(str(question)))


def _same(value: object) -> object:
    return value


CHAINS: dict[str, Runnable[Any, Any]] = {
    "lambda | model": RunnableLambda(_same) | _model(),
    "model | lambda": _model() | RunnableLambda(lambda message: message.content),
    "model | parser": _model() | StrOutputParser(),
    "lambda": RunnableLambda(_same),
    "lambda that yields": RunnableLambda(_spelled),
    "lambda that returns a chain": RunnableLambda(lambda _: RunnableLambda(_same) | _model()),
    "generator": RunnableGenerator(_spelled),
    "parallel": RunnableParallel(one=_model(), other=_model()),
    "assign": RunnablePassthrough.assign(said=RunnableLambda(lambda _: "hi") | _model()),
    "branch": RunnableBranch((lambda _: True, _model()), _model()),
    "retry": (RunnableLambda(_same) | _model()).with_retry(),
    "model": _model(),
}


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> Runnable[Any, Any]:
    """Each kind of chain that streams."""
    return CHAINS[request.param]


def _question(chain: Runnable[Any, Any]) -> object:
    return {"question": "hi"} if chain is CHAINS["assign"] else "hi"


def test_a_blocking_stream_that_is_closed_is_cancelled(tracker: ExecutionTracker, chain: Runnable[Any, Any]) -> None:
    """A run whose blocking stream is closed after its first chunk is CANCELLED, though LangChain reports a success."""
    stream: Any = chain.stream(_question(chain), config(tracker))
    next(stream)
    stream.close()
    record = only(tracker)
    assert ended(record) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)
    assert (record.error, record.result) == ("the stream was broken off", None)
    assert (counts(tracker).executions, counts(tracker).troubles) == (1, {})


def test_a_reader_that_raises_cancels(tracker: ExecutionTracker, chain: Runnable[Any, Any]) -> None:
    """A run whose blocking stream is left by an exception of its reader, which the run never sees, is CANCELLED."""

    def read() -> None:
        for _ in chain.stream(_question(chain), config(tracker)):
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        read()
    assert ended(only(tracker)) == (ExecutionState.CANCELLED, Cause.CANCELLED_BY_CALLER)


def test_a_blocking_stream_that_is_read_is_completed(tracker: ExecutionTracker, chain: Runnable[Any, Any]) -> None:
    """A run whose blocking stream is read to its end is COMPLETED with what its chunks add up to."""
    total: Any = None
    for chunk in chain.stream(_question(chain), config(tracker)):
        total = chunk if total is None else total + chunk
    record = only(tracker)
    assert ended(record) == (ExecutionState.COMPLETED, Cause.RETURNED)
    if isinstance(total, dict):
        assert isinstance(record.result, dict)
        assert record.result.keys() == total.keys()
    else:
        assert record.result == getattr(total, "content", total)


@pytest.mark.parametrize(
    "chain", [RunnableLambda(_asking), _model() | RunnableGenerator(_first)], ids=["inside", "in a row"]
)
def test_a_step_that_leaves_a_stream_ends_nothing(tracker: ExecutionTracker, chain: Runnable[Any, Any]) -> None:
    """A run that itself leaves the stream of a model, and is read to its end, is COMPLETED with its answer."""
    assert list(chain.stream("hi", config(tracker))) == ["L"]
    assert (ended(only(tracker)), only(tracker).result) == ((ExecutionState.COMPLETED, Cause.RETURNED), "L")


def test_runs_inside_a_stream_that_is_left_are_not(tracker: ExecutionTracker) -> None:
    """A run that returns while somebody else's stream is being left is COMPLETED: each stream is judged by itself."""

    def closing(_: object) -> Iterator[str]:
        try:
            yield from SAID
        finally:
            assert list(RunnableLambda(_spelled).stream("hi", config(tracker))) == list(SAID)
            assert RunnableLambda(_same).invoke("hi", config(tracker)) == "hi"

    stream: Any = RunnableLambda(closing).stream("hi")
    next(stream)
    stream.close()
    del stream
    assert [ended(one) for one in tracker.find()] == [(ExecutionState.COMPLETED, Cause.RETURNED)] * 2
    assert [one.result for one in tracker.find()] == ["hi", SAID]


def test_a_passthrough_alone_cannot_be_judged(tracker: ExecutionTracker) -> None:
    """A passthrough that is no part of a chain makes its chunks with no generator, so the guide says that it is not seen to be left."""
    stream: Any = RunnablePassthrough().stream("hi", config(tracker))
    next(stream)
    stream.close()
    del stream
    assert ended(only(tracker)) == (ExecutionState.COMPLETED, Cause.RETURNED)


def test_fallbacks_alone_that_are_left_at_once_have_no_end(tracker: ExecutionTracker) -> None:
    """A model with fallbacks that is left after its first chunk has no end in LangChain, as the guide says; behind another step it has."""
    asked = _model().with_fallbacks([_model()])

    def leave(chain: Runnable[Any, Any]) -> None:
        stream: Any = chain.stream("hi", config(tracker))
        next(stream)
        stream.close()

    for chain in (asked, RunnableLambda(_same) | asked):
        copy_context().run(leave, chain)
    assert [one.state for one in tracker.find()] == [ExecutionState.CANCELLED, ExecutionState.RUNNING]
