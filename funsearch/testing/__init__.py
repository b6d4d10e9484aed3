"""Fakes of the ports, for unit tests. For a storage in memory, use `funsearch.storage.open_storage("sqlite://")`."""

from funsearch.testing.sandbox import InProcessSandbox
from funsearch.testing.training import RecordingTrainer, ScriptedPolicies

__all__ = ["InProcessSandbox", "RecordingTrainer", "ScriptedPolicies"]
