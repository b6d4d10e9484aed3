"""Runs a training on Ray: what `funsearch train` calls."""

import os
from contextlib import closing

from funsearch.cluster.policy_samplers import DedicatedSampler
from funsearch.cluster.session import start_ray
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.rest_em.records import RoundRecord
from funsearch.sandbox import open_sandbox
from funsearch.storage import SqlTrainingStorage
from funsearch.training.opening import Training
from funsearch.training.rounds import Rounds, Watch


def run_training(
    training: Training, storage: SqlTrainingStorage, watch: Watch, address: str | None = None
) -> list[RoundRecord]:
    """Runs the rounds of a training on Ray and returns those that have ended.

    Raises:
        FunsearchError: the training cannot continue; everything finished is saved.
    """
    settings, record = training.settings, training.record
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    level = box.level
    box.close()
    # Calls to an interrupted sampler are made again, so that their failure is not worth a message.
    os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
    start_ray(address)
    workers = RayTrainingWorkers(
        DedicatedSampler(settings, record.model),
        training.task_set.verifier(settings.tasks),
        level,
        verifier_seconds=settings.verifier_seconds,
        graders=settings.evaluators,
        grader_options={"num_cpus": 0 if address is None else 1},
    )
    with closing(workers):
        rounds = Rounds(
            record,
            settings,
            training.task_set,
            storage,
            workers,
            chat=training.chat,
            folder=training.folder,
            watch=watch,
        )
        return rounds.run()
