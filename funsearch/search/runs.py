"""Writes new runs, and loads the settings and the problem of recorded ones."""

from funsearch.core.ports import RunStorage
from funsearch.core.records import RunRecord
from funsearch.loading import Problem, ProblemSource, load
from funsearch.settings.search import Settings


def new_run(
    problem: Problem, settings: Settings, storage: RunStorage, sandbox: str, name: str | None, now: float
) -> RunRecord:
    """Writes a new run; by default it is named after its problem, with the next free number.

    Args:
        problem: of the run.
        settings: of the run.
        storage: to write to.
        sandbox: level of confinement.
        name: of the run; None for the default.
        now: seconds since the epoch.

    Raises:
        StorageError: the name is taken.
    """
    if name is None:
        taken = {summary.run for summary in storage.runs()}
        name = next(f"{problem.name}-{n}" for n in range(1, len(taken) + 2) if f"{problem.name}-{n}" not in taken)
    source = problem.source
    run = RunRecord(
        name=name,
        problem=problem.name,
        specification=source.specification,
        evaluator=source.evaluator,
        settings=settings.stored(source.inputs),
        sandbox=sandbox,
        created=now,
    )
    storage.create_run(run)
    return run


def restored(run: RunRecord) -> tuple[Settings, Problem]:
    """Returns the settings and the problem that a recorded run was started with.

    Raises:
        ConfigError: its settings are of another version.
        ProblemError: its problem does not load.
    """
    settings, inputs = Settings.restored(run.settings)
    return settings, load(ProblemSource(run.problem, run.specification, run.evaluator, inputs))
