"""A search on several Ray nodes, all on this machine, some of which are lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from faults import Trial, script, texts
from ray.cluster_utils import Cluster

from funsearch.cluster.session import QUIET, start_ray
from funsearch.loading import Problem
from funsearch.search.loop import Budget
from funsearch.search.progress import Progress
from funsearch.settings.search import Settings

pytestmark = pytest.mark.ray

SETTINGS = [
    "database.islands=3",
    "database.reset_period=100",
    "prompts_in_flight=6",
    "evaluators=auto",
    "placement.sampler.resources={'model':1}",
]
WORKER = {"num_cpus": 2, "resources": {"model": 1}, "object_store_memory": 80 * 1024**2}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head node without processors, which this process has joined."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 1024**2}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        start_ray(cluster.address)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def slow_problem(problem: Problem) -> Problem:
    """The problem, with an evaluator that takes twenty milliseconds, except when a run is replayed here."""
    pause = "__import__('time').sleep(0.01 * ('faults' not in __import__('sys').modules))"
    slow = problem.source.evaluator.replace("answer = ", f"{pause}\n        answer = ")
    return replace(problem, source=replace(problem.source, evaluator=slow))


def test_search_survives_the_loss_of_either_node(cluster: Cluster, slow_problem: Problem, tmp_path: Path) -> None:
    nodes = [cluster.add_node(**WORKER)]
    settings = Settings.load(None, SETTINGS, samplers=(script(tmp_path, texts(20_000)),))
    trial = Trial(slow_problem, f"sqlite:///{tmp_path / 'run.db'}", settings, on_cluster=True)

    def lose_oldest() -> None:
        cluster.remove_node(nodes.pop(0), allow_graceful=False)

    def join() -> None:
        nodes.append(cluster.add_node(**WORKER))

    # The sampler is on the first node, later on the second, so that each loss takes the sampler along.
    full, half = at(evaluators=4), at(evaluators=2)
    trial.events = [(half, join), (full, lose_oldest), (half, join), (full, lose_oldest), (half, trial.stop)]
    stopped = trial.run(Budget())
    assert stopped.state == "interrupted"
    count = trial.resume(Budget(samples=stopped.samples + 40)).samples
    assert count == stopped.samples + 40
    trial.check(count)
    assert trial.set_aside() == []


def at(evaluators: int) -> Callable[[Progress], bool]:
    """Returns the condition that so many evaluators are ready and 20 samples have arrived since the first check."""
    since: list[int] = []

    def holds(progress: Progress) -> bool:
        since.append(progress.samples)
        return progress.evaluators == evaluators and progress.samples > since[0] + 20

    return holds
