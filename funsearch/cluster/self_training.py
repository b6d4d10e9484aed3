"""Self-training of a search on Ray: its own samplers answer, and graders run where its evaluators do."""

from collections.abc import Callable

from funsearch.cluster.placement import options_at
from funsearch.cluster.policy_samplers import SharedSamplers, check_room
from funsearch.cluster.search_workers import RayWorkers
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.core.records import RunRecord
from funsearch.settings.samplers import split_spec, trained_model
from funsearch.settings.search import Place, Settings
from funsearch.storage import open_storage
from funsearch.storage.retrying import Retrying
from funsearch.training.opening import Training
from funsearch.training.self_training import SelfTrainer


def make_self_trainer(run: RunRecord, settings: Settings, database: str, workers: RayWorkers) -> SelfTrainer:
    """Returns the self-trainer of a search on Ray.

    Args:
        run: the search.
        settings: of the search; `train.every` is set.
        database: URL of the database in which the search is recorded.
        workers: of the search.

    Raises:
        ConfigError: no GPU is left for the trainer.
    """
    check_room(settings)
    train = settings.train
    model, served = trained_model(settings)
    # Graders run where evaluators may, but reserve nothing: evaluators keep their resources while the search waits.
    beside_evaluators = options_at(Place(labels=settings.placement.evaluator.labels), cpus=0, gpus=0)

    def training_workers(training: Training, stopped: Callable[[], bool]) -> RayTrainingWorkers:
        samplers = SharedSamplers(workers, train.trainer, stopped, pause=train.pause)
        verifier = training.task_set.verifier(training.settings.tasks)
        return RayTrainingWorkers(
            samplers,
            verifier,
            run.sandbox,
            verifier_seconds=training.settings.verifier_seconds,
            graders=max(1, workers.ask(lambda workers: workers.evaluators, stopped)),
            grader_options=beside_evaluators,
            stopped=stopped,
        )

    on_vllm = split_spec(settings.samplers[0])[0] == "vllm"
    return SelfTrainer(
        run.name,
        train,
        train.step(settings.seed, settings.vllm.prompt_format if on_vllm else "completion"),
        model,
        served.policy() if served else None,
        storage=lambda: open_storage(database),
        retrying_policy=Retrying(settings.storage_seconds),
        workers=training_workers,
        serve=workers.serve,
    )
