"""Closes the loop of a search on Ray: its own samplers are measured, and graders work where its evaluators do."""

from collections.abc import Callable

from funsearch.cluster.policy_samplers import SearchSamplers, check_room
from funsearch.cluster.search_workers import RayWorkers
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.search.search import Search
from funsearch.settings.samplers import split_spec, trained_model
from funsearch.settings.search import Place, Settings
from funsearch.storage import open_storage
from funsearch.storage.retrying import Retrying
from funsearch.training.opening import Training
from funsearch.training.self_training import ClosedLoop


def open_loop(settings: Settings, database: str, level: str, search: Search, workers: RayWorkers) -> ClosedLoop:
    """Returns the loop of a search on Ray: its samplers are measured, and graders work where its evaluators do.

    Args:
        settings: of the search.
        database: where it is kept.
        level: of its sandbox.
        search: itself.
        workers: of it.

    Raises:
        ConfigError: the trainer would have no device.
    """
    check_room(settings)
    train = settings.train
    model, served = trained_model(settings)
    # Where evaluators may be, and nothing else that they have: they keep it while the search waits for a step.
    beside_evaluators = Place(labels=settings.placement.evaluator.labels).options(cpus=0, gpus=0)

    def hands(training: Training, stopped: Callable[[], bool]) -> RayTrainingWorkers:
        samplers = SearchSamplers(workers, train.trainer, stopped, pause=train.pause)
        verifier = training.task_set.verifier(training.settings.tasks)
        return RayTrainingWorkers(
            samplers,
            verifier,
            level,
            verifier_seconds=training.settings.verifier_seconds,
            graders=max(1, workers.evaluators),
            grader_options=beside_evaluators,
            stopped=stopped,
        )

    on_vllm = split_spec(settings.samplers[0])[0] == "vllm"
    return ClosedLoop(
        search,
        train,
        train.step(settings.seed, settings.vllm.prompt_format if on_vllm else "completion"),
        model,
        served.policy() if served else None,
        storage=lambda: open_storage(database),
        retrying_policy=Retrying(settings.storage_seconds),
        hands=hands,
        serve=workers.serve,
    )
