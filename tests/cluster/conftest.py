"""Fixtures for tests that need no Ray."""

import pytest
import ray
from pretend_actors import get

from funsearch.cluster import placement


@pytest.fixture
def pretend_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serves the calls of pretended actors, which live on the node `n`."""
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(placement, "nodes", lambda: [{"NodeID": "n", "Alive": True}])
    monkeypatch.setattr("funsearch.cluster.supervisor.RECONCILE_SECONDS", 0.0)
