"""Who gives way to the trainer, with GPUs that are only said to be there."""

from collections.abc import Callable

import pytest

from funsearch.cluster import policy_samplers
from funsearch.cluster.policy_samplers import SearchSamplers, check_room
from funsearch.core.completions import Policy
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.settings.search import Settings
from funsearch.trainers.options import TrainerOptions


class Crew:
    """The samplers of a search, which hold the cluster's GPUs unless they rest."""

    def __init__(self, gpus: int, spare: int) -> None:
        self.gpus = gpus
        self.spare = spare
        self.rests: list[bool] = []
        self.sampler_actors: list[str] = []

    def rest(self, resting: bool) -> None:
        self.rests.append(resting)

    def free(self) -> dict[str, float]:
        return {"GPU": self.gpus if self.rests[-1:] == [True] else self.spare}


Make = Callable[..., tuple[Crew, SearchSamplers]]


@pytest.fixture
def samplers(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(gpus: int, spare: int, *, pause: bool, stopped: bool = False) -> tuple[Crew, SearchSamplers]:
        crew = Crew(gpus, spare)
        monkeypatch.setattr(policy_samplers.ray, "cluster_resources", lambda: {"GPU": gpus} if gpus else {})
        monkeypatch.setattr(policy_samplers.ray, "available_resources", crew.free)
        nodes = [{"Alive": alive, "Resources": {"GPU": gpus} if gpus else {}} for alive in (True, False)]
        monkeypatch.setattr(policy_samplers.ray, "nodes", lambda: nodes)
        return crew, SearchSamplers(crew, TrainerOptions(), lambda: stopped, pause=pause)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(("gpus", "spare", "wanted"), [(0, 0, 0), (4, 1, 1)])
def test_nobody_gives_way_where_there_is_room(samplers: Make, gpus: int, spare: int, wanted: int) -> None:
    crew, several = samplers(gpus, spare, pause=False)
    with several.making_room() as given:
        assert given == wanted
    assert crew.rests == []


def test_samplers_of_a_waiting_search_give_way_and_come_back(
    samplers: Make,
) -> None:
    crew, several = samplers(2, 0, pause=True)
    with pytest.raises(TrainingError, match="no memory"), several.making_room() as given:
        assert given == 1
        assert crew.rests == [True]
        raise TrainingError("no memory")
    assert crew.rests == [True, False]


def test_search_that_goes_on_says_that_it_leaves_no_gpu(samplers: Make) -> None:
    _, several = samplers(2, 0, pause=False)
    with (
        pytest.raises(TrainingError, match=r"needs 1 GPUs and 0 are free: set train.pause=true"),
        several.making_room(),
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


def test_end_of_the_search_ends_the_waiting_for_a_sampler(samplers: Make) -> None:
    _, several = samplers(0, 0, pause=True, stopped=True)
    with pytest.raises(Interrupted):
        several.serving(Policy("x@1", 1, "base"))
