"""Samplers that make room for the trainer, with pretended GPUs."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from funsearch.cluster import policy_samplers
from funsearch.cluster.mailbox import Mailbox
from funsearch.cluster.policy_samplers import SharedSamplers, check_room
from funsearch.core.completions import Policy
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.settings.search import Settings
from funsearch.trainers.options import TrainerOptions

T = TypeVar("T")


class Workers:
    """The workers of a search, whose samplers hold the cluster's GPUs unless they rest."""

    def __init__(self, gpus: int, spare: int) -> None:
        self.gpus = gpus
        self.spare = spare
        self.rests: list[bool] = []
        self.sampler_actors: list[str] = []

    def ask(self, call: Callable[["Workers"], T], stopped: Callable[[], bool]) -> T:
        return Mailbox().ask(lambda: call(self), stopped) if stopped() else call(self)

    def rest(self, resting: bool) -> None:
        self.rests.append(resting)

    def free(self) -> dict[str, float]:
        return {"GPU": self.gpus if self.rests[-1:] == [True] else self.spare}


Make = Callable[..., tuple[Workers, SharedSamplers]]


@pytest.fixture
def samplers(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(gpus: int, spare: int, *, pause: bool, stopped: bool = False) -> tuple[Workers, SharedSamplers]:
        workers = Workers(gpus, spare)
        monkeypatch.setattr(policy_samplers.ray, "cluster_resources", lambda: {"GPU": gpus} if gpus else {})
        monkeypatch.setattr(policy_samplers.ray, "available_resources", workers.free)
        nodes = [{"Alive": alive, "Resources": {"GPU": gpus} if gpus else {}} for alive in (True, False)]
        monkeypatch.setattr(policy_samplers, "nodes", lambda: nodes)
        return workers, SharedSamplers(workers, TrainerOptions(), lambda: stopped, pause=pause)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(("gpus", "spare", "wanted"), [(0, 0, 0), (4, 1, 1)])
def test_samplers_stay_where_there_is_room(samplers: Make, gpus: int, spare: int, wanted: int) -> None:
    workers, shared = samplers(gpus, spare, pause=False)
    with shared.making_room() as granted:
        assert granted == wanted
    assert workers.rests == []


def test_samplers_of_a_paused_search_are_stopped_and_started_again(samplers: Make) -> None:
    workers, shared = samplers(2, 0, pause=True)
    with pytest.raises(TrainingError, match="no memory"), shared.making_room() as granted:
        assert granted == 1
        assert workers.rests == [True]
        raise TrainingError("no memory")
    assert workers.rests == [True, False]


def test_search_that_does_not_pause_reports_that_no_gpu_is_left(samplers: Make) -> None:
    _, shared = samplers(2, 0, pause=False)
    with (
        pytest.raises(TrainingError, match=r"needs 1 GPUs and 0 are free: set train.pause=true"),
        shared.making_room(),
    ):
        pass


def test_more_processes_than_a_machine_has_gpus_are_refused(samplers: Make) -> None:
    samplers(2, 2, pause=True)
    settings = Settings.load(None, ["train.every=9", "train.trainer.processes=3"])
    with pytest.raises(ConfigError, match=r"trainer.processes = 3: .* none has more than 2\."):
        check_room(settings)


def test_search_that_would_leave_no_gpu_is_refused_at_once(samplers: Make) -> None:
    samplers(2, 0, pause=False)
    settings = Settings.load(None, ["sampler_replicas=2", "train.every=9", "train.pause=false"])
    with pytest.raises(ConfigError, match=r"needs 1 of 2 GPUs and the samplers take 2\. Set train.pause=true"):
        check_room(settings)
    check_room(settings.model_copy(update={"sampler_replicas": 1}))
    samplers(0, 0, pause=False)
    check_room(settings)


def test_end_of_the_search_ends_the_wait_for_a_sampler(samplers: Make) -> None:
    _, shared = samplers(0, 0, pause=True, stopped=True)
    with pytest.raises(Interrupted):
        shared.serving(Policy(name="x@1", round=1, base="base")).reconcile()
