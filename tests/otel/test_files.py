"""The alert rules and the dashboard: each names only metrics and labels that are in a real scrape."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import runstate
from runstate import CAUSES
from runstate.otel import instrument

from .telemetry import WHO, await_that

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "runstate.json"
GUIDE = ROOT / "docs" / "observability.md"

SCRAPERS = {"job", "instance", "le"}
"""Labels that Prometheus and histograms add."""


def created() -> float:
    """How many executions a scrape says were created."""
    families = text_string_to_metric_families(generate_latest(REGISTRY).decode())
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "runstate_executions_created_total")


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What Prometheus reads from a process that has lived through everything."""
    meters = MeterProvider([PrometheusMetricReader()])
    with runstate.open(tmp_path_factory.mktemp("scrape") / "runs.db") as tracker:
        instrument(tracker, meter_provider=meters).close()  # what was closed is in no one's way
        with instrument(tracker, meter_provider=meters):
            for state, causes in CAUSES.items():
                for cause in causes:
                    run = tracker.create(**WHO).run()
                    tracker.update_execution_state(run.execution_id, state, cause=cause)
            live = tracker.create(**WHO).run()
            await_that(lambda: created() == tracker.statistics().created)
            text = generate_latest(REGISTRY).decode()
            live.complete(None)
    meters.shutdown()
    return text


@pytest.fixture(scope="module")
def series(scrape: str) -> dict[str, set[str]]:
    """The labels of each series of the scrape, by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    found["runstate_executions_warned_total"] = {"gen_ai_agent_name", "runstate_cause"}  # as `test_metrics` shows
    return found


def rules() -> list[dict[str, Any]]:
    """All rules of the file."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    """All queries of the rules and the dashboard."""
    yield from (rule["expr"] for rule in rules())
    dashboard = json.loads(DASHBOARD.read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (one["expr"] for one in dashboard["annotations"]["list"])
    yield from (one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query")


SELECTOR = re.compile(r"\b((?:runstate|gen_ai)_\w+)\b(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")


def test_the_scrape_is_prometheus_own_text(scrape: str, series: dict[str, set[str]]) -> None:
    """The scrape parses, has the durations' buckets of the conventions, and shows deaths as 0 before they happen."""
    assert {
        float(sample.labels["le"])
        for family in text_string_to_metric_families(scrape)
        if family.name == "gen_ai_invoke_agent_duration_seconds"
        for sample in family.samples
        if sample.name.endswith("_bucket")
    } == {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, float("inf")}
    assert series["runstate_executions_ended_total"] >= {"gen_ai_agent_name", "runstate_state", "runstate_cause"}
    assert "runstate_workers_fenced_total 0.0" in re.sub(r"\{[^}]*\}", "", scrape)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_is_in_the_scrape(expression: str, series: dict[str, set[str]]) -> None:
    """A query asks for series that exist, by labels that they have, and groups by such labels."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    text = re.sub("|".join(map(re.escape, sorted(recorded))), "1", expression)
    grouped = {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", text)
        for label in labels.split(",")
        if label.strip()
    }
    text = re.sub(r"\bby \([^)]*\)", "", text)
    text = re.sub(r"label_values\((\w+), (\w+)\)", r'\1{\2="x"}', text)
    selectors = SELECTOR.findall(text)
    assert selectors or text != expression
    offered: set[str] = set(SCRAPERS)
    for name, labels in selectors:
        assert name in series, name
        assert set(LABEL.findall(labels)) <= series[name] | SCRAPERS, labels
        offered |= series[name]
    if selectors:
        assert grouped <= offered
    assert expression.count("(") == expression.count(")")


def test_the_rules_are_whole() -> None:
    """Each rule either records or alerts; an alert has a severity, a summary and a description, and the guide explains it."""
    guide = GUIDE.read_text()
    names = [rule.get("alert", rule.get("record")) for rule in rules()]
    assert len(names) == len(set(names))
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        assert group.keys() == {"name", "rules"}
    for rule in rules():
        if "record" in rule:
            assert rule.keys() == {"record", "expr"}
            assert re.fullmatch(r"[a-z]+:[a-z]+:[a-z0-9]+", rule["record"])
            continue
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert f"`{rule['alert']}`" in guide
    used = {value for expression in expressions() for value in re.findall(r'runstate_cause=~?"([^"]*)"', expression)}
    known = {cause.value for causes in CAUSES.values() for cause in causes}
    assert {one for value in used for one in value.split("|")} <= known


def test_the_dashboard_is_whole() -> None:
    """Panels have ids and places of their own, one data source variable serves them all, and none is outside the grid."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "agent"]
