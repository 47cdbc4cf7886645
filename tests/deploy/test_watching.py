"""The examples for watching the service: rules that Prometheus takes, and nothing asked for that is not there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from flowlu_admin.metrics.reading import Reading

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="NOT RUN without promtool (Debian: prometheus): the alert rules"
)


@pytest.fixture
def told() -> set[str]:
    """Return the name of every series that the service tells."""
    return {family.name + ending for family in Reading().collect() for ending in ENDINGS[family.type]}


def named(text: str) -> set[str]:
    return set(re.findall(r"\bflowlu_admin_\w+", text))


def rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.django_db
def test_every_metric_is_told_by_the_service_and_explained(told: set[str]) -> None:
    asked = named(" ".join(rule["expr"] for rule in rules())) | named(DASHBOARD.read_text())
    explained = (ROOT / "docs/operations.md").read_text()

    assert asked <= told
    families = {family.name.removeprefix("flowlu_admin_") for family in Reading().collect()}
    assert [
        name for name in sorted(families) if f"`{name}`" not in explained and f"`{name}_total`" not in explained
    ] == []


@pytest.mark.django_db
def test_every_metric_is_shown(told: set[str]) -> None:
    shown = named(DASHBOARD.read_text()) | {"flowlu_admin_tokens_estimated"}

    assert {name for name in told if not name.endswith(("_sum", "_count"))} == shown


def test_every_panel_has_a_place_and_asks_the_chosen_source() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]

    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${source}"}


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "what"}, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]


@promtool
@pytest.mark.parametrize("what", [("check", "rules", RULES), ("test", "rules", ROOT / "tests/deploy/alerts_fire.yaml")])
def test_prometheus_takes_the_rules_and_they_fire(what: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *what], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


@promtool
@pytest.mark.django_db
def test_prometheus_reads_what_the_service_writes(client, settings) -> None:
    settings.METRICS_TOKEN = "only-whoever-watches-the-service-has-this"
    written = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content

    done = subprocess.run(["promtool", "check", "metrics"], input=written, capture_output=True, timeout=60)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
