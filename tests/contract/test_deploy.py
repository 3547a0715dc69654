"""What is in deploy/: alerts and dashboard ask for metrics that there are, by labels that they have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from taskmill.runtime.metrics import Metric
from tests.support.paths import ROOT
from tools.metrics_reference import GATEWAY, PROCESSOR, TASK_STORE, main

ALERTS = ROOT / "deploy/prometheus/alerts.yml"
SCRAPING = ROOT / "deploy/prometheus/prometheus.yml"
DASHBOARD = ROOT / "deploy/grafana/taskmill.json"
PAGE = ROOT / "docs/observability.md"

METRICS = {metric.name: metric for metric in (*GATEWAY, *TASK_STORE, *PROCESSOR)}
OF_PROMETHEUS = {
    "up": {"job", "instance"},
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
}
"""What Prometheus itself and the process's own collector tell."""

OF_EACH_TARGET = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard but its headings."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Every expression, by where it stands."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"].replace("$__rate_interval", "5m")
    return found


def selectors(expression: Any) -> Iterator[Any]:
    """The selectors of metrics within an expression, whatever stands around them."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    elif isinstance(expression, promql_parser.MatrixSelector):
        yield expression.vector_selector
    elif isinstance(expression, promql_parser.BinaryExpr):
        yield from selectors(expression.lhs)
        yield from selectors(expression.rhs)
    elif isinstance(expression, promql_parser.Call):
        for argument in expression.args:
            yield from selectors(argument)
    elif isinstance(expression, promql_parser.AggregateExpr | promql_parser.ParenExpr | promql_parser.UnaryExpr):
        yield from selectors(expression.expr)
    else:
        assert isinstance(expression, promql_parser.NumberLiteral), f"{expression} is not known here"


def named(selected: str) -> tuple[str, set[str]]:
    """The metric that a name in an expression is of, and the labels that it has there."""
    if selected in OF_PROMETHEUS:
        return selected, OF_PROMETHEUS[selected] | OF_EACH_TARGET
    base = re.sub(r"_(bucket|sum|count)$", "", selected)
    metric: Metric | None = METRICS.get(selected) or METRICS.get(base)
    assert metric is not None, f"nobody tells {selected}"
    is_histogram = metric.type == "histogram"
    assert is_histogram == (selected != metric.name), f"{selected} is no sample of a {metric.type}"
    return metric.name, {*metric.labels, *OF_EACH_TARGET, *({"le"} if selected.endswith("_bucket") else ())}


@pytest.mark.parametrize(("place", "expression"), expressions().items())
def test_each_expression_can_be_read_and_names_metrics_and_labels_that_there_are(place: str, expression: str) -> None:
    """Else an alert would never ring, and a panel stay empty, and nobody would notice."""
    found = list(selectors(promql_parser.parse(expression)))
    assert found, place
    for selector in found:
        _, labels = named(selector.name)
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, place
    # A label that is grouped or joined by is one of some metric in the expression.
    grouped = {
        name.strip() for names in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression) for name in names.split(",")
    }
    assert grouped <= set[str]().union(*(named(selector.name)[1] for selector in found)), place


def test_every_metric_is_on_the_dashboard() -> None:
    """What is told is shown."""
    shown = {
        named(selector.name)[0]
        for panel in panels()
        for target in panel["targets"]
        for selector in selectors(promql_parser.parse(target["expr"].replace("$__rate_interval", "5m")))
    }
    assert shown >= METRICS.keys()


def test_every_alert_says_how_bad_it_is_and_is_explained() -> None:
    """In a sentence, and in the page for operators, which has no other alerts."""
    explained = re.findall(r"^### (Taskmill\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert explained == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]


def test_the_jobs_that_are_scraped_are_those_that_are_asked_for() -> None:
    """The alert for processes that are down tells them by these names."""
    document = yaml.safe_load(SCRAPING.read_text(encoding="utf-8"))
    jobs = [job["job_name"] for job in document["scrape_configs"]]
    assert jobs == ["taskmill-gateway", "taskmill-task-store", "taskmill-processor"]
    assert document["rule_files"] == [ALERTS.name]


def test_the_panels_do_not_lie_on_each_other() -> None:
    """Each place of the grid belongs to one panel, and each panel has a number of its own."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    places = [
        (x, y)
        for panel in document["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_table_of_metrics_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page for operators has it, made of the definitions."""
    monkeypatch.chdir(ROOT)
    assert main(["--check"]) == 0
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in METRICS)
