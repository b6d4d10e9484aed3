"""Checks the arguments of `funsearch.Search`, and turns them into the parts that a search is made of."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from funsearch.core.ports import RunStorage, Sandbox
from funsearch.errors import ConfigError
from funsearch.loading import Problem, load_problem
from funsearch.sandbox import open_sandbox
from funsearch.search.loop import Budget
from funsearch.search.sampling import SamplerLike, specifications
from funsearch.settings.parsing import SettingsLike, gathered_from
from funsearch.settings.samplers import check_samplers, check_weights, is_python
from funsearch.settings.search import Settings
from funsearch.storage import open_storage


def open_sandbox_for(settings: Settings) -> Sandbox:
    """Returns a sandbox as the settings ask for."""
    return open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)


def closed_later(sandbox: Sandbox, stack: ExitStack) -> Sandbox:
    """Returns the sandbox, which the stack closes."""
    stack.callback(sandbox.close)
    return sandbox


def loaded_problem(problem: str | Path | Problem) -> Problem:
    """Returns a problem given by name, by path or as an object.

    Raises:
        ConfigError: it is none of these.
        ProblemError: it does not load.
    """
    if isinstance(problem, Problem):
        return problem
    if isinstance(problem, str | Path):
        return load_problem(str(problem))
    raise ConfigError(
        f"problem = {problem!r:.80}: give the name of a problem, the path of a problem file, or a Problem from "
        "funsearch.load_problem or @funsearch.problem."
    )


def checked_settings(
    settings: SettingsLike | None, sampler: SamplerLike | None, options: Mapping[str, object]
) -> Settings:
    """Returns the settings with the sampler and the options, all of it checked.

    Raises:
        ConfigError: a setting is unknown or not valid.
    """
    chosen = {"samplers": specifications(sampler), **options}
    checked = Settings.checked(gathered_from(settings, chosen))
    if is_python(checked.samplers):
        check_weights(checked)
    else:
        check_samplers(checked)
    if checked.train.every:
        raise ConfigError(
            f"train.every = {checked.train.every}: a search in this process does not train its model. Start it with "
            "`funsearch run --train every=N`, or call funsearch.train on its samples."
        )
    return checked


def opened_storage(storage: str | RunStorage, stack: ExitStack, create: bool) -> RunStorage:
    """Returns the storage of a URL, which the stack closes, or an open storage as it is.

    Raises:
        ConfigError: it is neither.
        StorageError: the database cannot be opened.
    """
    if isinstance(storage, str):
        opened = open_storage(storage, create)
        stack.callback(opened.close)
        return opened
    if not hasattr(storage, "create_run"):
        raise ConfigError(f"storage = {storage!r:.80}: give the URL of a database, as sqlite:///runs.db.")
    return storage


def check_name(name: str | None) -> None:
    """Refuses what cannot be the name of a run.

    Raises:
        ConfigError: it is not a string, or empty.
    """
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ConfigError(f"name = {name!r:.80}: give the run a name, a string that is not empty.")


def checked_budget(samples: int | None, minutes: float | None, target: float | None, cost: float | None) -> Budget:
    """Returns the budget.

    Raises:
        ConfigError: a limit is not a number, or not a positive one.
    """
    for name, value in (("max_samples", samples), ("minutes", minutes), ("target", target), ("max_cost", cost)):
        kinds = int if name == "max_samples" else int | float
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kinds) or (name != "target" and value <= 0):
            raise ConfigError(f"{name} = {value!r:.80}: give a positive number, or leave it out.")
    return Budget(samples, minutes, target, cost)
