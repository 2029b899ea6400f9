"""Alerts and dashboard use metrics that exist, in queries that Prometheus accepts, and alerts fire when they must."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pnl_backend.ops.metrics import Metrics
from tests.deploy.proxy import ROOT
from tests.ops.test_metrics import exposed

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "pnl.json").read_text())
GROUPS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")


def dashboard_queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$instance", ".*")
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["expr"]


def promtool(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_the_configuration_and_its_rules_are_valid(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(PROMETHEUS / name, tmp_path)
    (tmp_path / "pnl-api-key").write_text("a key")
    assert f"{len(RULES)} rules found" in promtool("check", "config", "prometheus.yml", cwd=tmp_path)


@pytest.mark.skipif(shutil.which("amtool") is None, reason="needs amtool (Debian: prometheus-alertmanager)")
def test_the_example_for_alertmanager_is_valid_and_routes_each_severity() -> None:
    config = str(PROMETHEUS / "alertmanager.yml")
    assert "SUCCESS" in amtool("check-config", config)
    routes = {severity: route_of(severity, config) for severity in ("page", "warn", "report")}
    assert routes == {"page": "pager", "warn": "mail", "report": "report"}
    assert {rule["labels"]["severity"] for rule in ALERTS} == set(routes)


def route_of(severity: str, config: str) -> str:
    return amtool("config", "routes", "test", f"--config.file={config}", f"severity={severity}").strip()


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_alerts_fire_when_they_must_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml", "report.test.yml", cwd=PROMETHEUS)


@needs_promtool
def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", "queries.yml", cwd=tmp_path)


def test_every_metric_that_is_asked_for_exists() -> None:
    metrics: Metrics = exposed()
    there = {line.split("{")[0].split(" ")[0] for line in metrics.render()[0].decode().splitlines()}
    asked = {name for query in queries() for name in re.findall(r"(?<!:)\b(?:pnl|process)_\w+", query)}
    assert asked
    assert asked - there == set()


def test_every_metric_of_ours_is_used_by_a_panel_or_an_alert() -> None:
    text = "\n".join(queries())
    families = {
        line.split(" ")[2] for line in exposed().render()[0].decode().splitlines() if line.startswith("# TYPE pnl_")
    }
    asked = {name for name in families if re.search(rf"\b{name}(?:_bucket|_count|_sum|_total)?\b", text)}
    # Which version runs is a label to choose by, not a curve.
    assert families - asked == {"pnl_build_info"}


def test_every_alert_has_a_summary_and_what_to_do() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "warn", "report"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_the_dashboards_panels_have_titles_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def queries() -> list[str]:
    return [*dashboard_queries(), *(rule["expr"] for rule in RULES)]
