"""Metrics: the dashboard shows what is exported, and nothing else."""

import json
import re
from pathlib import Path

from funsearch.cluster.metrics import COUNTS, STATES, STATUSES

DASHBOARD = Path(__file__).parents[2] / "docker" / "grafana.json"


def test_dashboard_shows_every_metric() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = {name for panel in panels for target in panel["targets"] for name in re.findall(r"ray_\w+", target["expr"])}
    counters = {f"ray_funsearch_{name}_total" for name in (*COUNTS, STATUSES)}
    gauges = {f"ray_funsearch_{name}" for name in STATES}
    assert shown == (counters | gauges) - {"ray_funsearch_registered_total"}
