"""Runs a training on Ray: what `funsearch train` calls."""

import os
from contextlib import closing

from funsearch.cluster.policy_samplers import OwnSampler
from funsearch.cluster.session import start_ray
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.rest_em.records import RoundRecord
from funsearch.sandbox import open_sandbox
from funsearch.storage import SqlStorage
from funsearch.training.opening import Training
from funsearch.training.rounds import Rounds, Watch


def run_training(
    training: Training, storage: SqlStorage, watch: Watch, address: str | None = None
) -> list[RoundRecord]:
    """Runs the rounds of a training on Ray and returns those that have ended.

    Raises:
        FunsearchError: it could not go on; what was finished is saved.
    """
    settings, record = training.settings, training.record
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    level = box.level
    box.close()
    # What an interrupted sampler had at work is asked for again; nobody need be told that it failed.
    os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
    start_ray(address)
    verifier = training.task_set.verifier(settings.tasks)
    samplers = OwnSampler(settings, record.model)
    graders = RayTrainingWorkers(
        samplers,
        verifier,
        level,
        verifier_seconds=settings.verifier_seconds,
        graders=settings.evaluators,
        grader_options={"num_cpus": 0 if address is None else 1},
    )
    with closing(graders) as hands:
        rounds = Rounds(
            record,
            settings,
            training.task_set,
            storage,
            hands,
            chat=training.chat,
            folder=training.folder,
            watch=watch,
        )
        return rounds.run()
