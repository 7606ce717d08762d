"""The OpenAPI document under schemathesis: no 500, no answer that the document does not know, nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks
from starlette.requests import HTTPConnection

from runstate import ExecutionTracker
from runstate.web import Principal, WebLimits
from runstate.web._openapi import document

from ..stores import STORES, Store
from .lives import live
from .servers import Served, serve
from .test_users import MARK, plant

load_all_checks()
LIMITS = WebLimits(requests_per_second=1e6, request_burst=1_000_000, stream_seconds=0.02, ping_seconds=0.01)
SCHEMA = schemathesis.openapi.from_dict(document())
CASES = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


def authorize(connection: HTTPConnection) -> Principal:
    """Everybody is ann."""
    return Principal("ann")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for ann, with executions of hers and of bob's; streams end soon."""
    store: Store = STORES[request.param](tmp_path_factory.mktemp("store"))
    with ExecutionTracker(store.journal()) as tracker:
        served_ids = plant(tracker)
        own = live(tracker, "shared", "ann")
        with serve(tracker, LIMITS, authorize=authorize) as served:
            served.ids = [*served_ids, own]
            yield served


@SCHEMA.parametrize()
@CASES
def test_every_answer_is_one_that_the_document_knows(case: schemathesis.Case, served: Served) -> None:
    """Whatever is asked, the answer has a known status, form and headers, is no 500, and holds nothing of bob's."""
    answer = case.call(base_url=served.url, timeout=30)
    case.validate_response(answer, excluded_checks=[CHECKS.get_one(name) for name in EXCLUDED])
    assert answer.status_code < 500
    said = answer.text
    assert MARK not in said.replace(MARK, "", said.count(MARK) if echoed(case, answer.status_code) else 0)


EXCLUDED = (
    "unsupported_method",  # answered with 405 and checked in test_rest; schemathesis sends TRACE, which no browser can
    "ignored_auth",  # this host lets everybody in, as ann
    "missing_required_header",
    "positive_data_acceptance",  # ids are drawn at random, so most are of nothing
    "negative_data_rejection",  # it knows no way to say that a filter given twice is refused
)


def echoed(case: schemathesis.Case, status: int) -> bool:
    """Whether an error may repeat what was asked."""
    return status >= 400 and MARK in str(case.as_curl_command())


def test_known_ids_leak_nothing(served: Served) -> None:
    """With bob's own ids in every place of every address, and his marks in every filter, no answer to ann is his."""
    for path, methods in document()["paths"].items():
        for method in methods:
            for execution_id in served.ids[:-1]:
                address = path.format(execution_id=execution_id, thread_id="shared")
                answer = served.http.request(
                    method, address, params={"after": "0"} if address.endswith("events") else {}
                )
                assert MARK not in answer.text
                assert answer.status_code < 500
