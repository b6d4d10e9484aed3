"""Fakes of the ports, for unit tests of what is built on them."""

from funsearch.testing.sandbox import InProcessSandbox
from funsearch.testing.storage import MemoryStorage
from funsearch.testing.training import RecordingTrainer, ScriptedPolicies
from funsearch.testing.trainings import MemoryTrainingStorage

__all__ = ["InProcessSandbox", "MemoryStorage", "MemoryTrainingStorage", "RecordingTrainer", "ScriptedPolicies"]
