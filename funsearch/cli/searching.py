"""Runs a search for `run` and `resume`: starts it on Ray, shows the live view, and prints the result."""

import signal
import sys
from contextlib import closing, nullcontext
from types import FrameType

import click

from funsearch.cli.options import console, print_json, same_db
from funsearch.cli.view import LiveView
from funsearch.cluster.driver import Launch, launch
from funsearch.cluster.session import start_ray
from funsearch.core.records import RunRecord
from funsearch.errors import FunsearchError
from funsearch.loading import Problem
from funsearch.search.loop import Budget
from funsearch.search.progress import Progress
from funsearch.search.trackers import Tracker
from funsearch.settings.samplers import split_spec
from funsearch.settings.search import Settings
from funsearch.storage import absolute_url


def run_search(
    run: RunRecord,
    problem: Problem,
    settings: Settings,
    budget: Budget,
    db: str,
    address: str | None,
    as_json: bool,
    tracker: Tracker | None,
) -> None:
    """Runs the search on Ray with a live view on standard error; prints the result and exits with its status."""
    if address is None:  # on a cluster, each sampler does this on its own machine
        _prepare_model(settings)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may start its background jobs with SIGINT ignored
        signal.signal(number, _interrupt)
    screen = console(stderr=True)
    screen.print(f"Run {run.name}: {run.problem}, sandbox {run.sandbox}, samplers {', '.join(settings.samplers)}")
    if run.sandbox == "none":
        screen.print(
            "WARNING: candidates run without confinement; every score is marked with the sandbox `none`.",
            style="bold red",
        )
    with closing(tracker) if tracker else nullcontext():
        start_ray(address)
        with LiveView(screen, budget) as view:

            def watch(progress: Progress | None) -> None:
                view.show(progress)
                if tracker and progress:
                    tracker.log(progress)

            order = Launch(run, problem.source, settings, absolute_url(db), address is not None)
            progress = launch(order, budget, watch)
    if as_json:
        print_json(summary(progress))
    else:
        compare = progress.best_score is not None and progress.state != "interrupted"
        _print_result(progress, budget, _gain(run, db) if compare else "", same_db(db))
    sys.exit(130 if progress.state == "interrupted" else 0)


def summary(progress: Progress) -> dict[str, object]:
    """Returns the object that `--json` prints at the end of a search."""
    return {
        "run": progress.run,
        "problem": progress.problem,
        "samples": progress.samples,
        "evaluated": progress.evaluated,
        "valid": progress.valid,
        "duplicates": progress.duplicates,
        "registered": progress.registered,
        "cost": progress.cost,
        "best_score": progress.best_score,
        "best_program": progress.best_program,
        "seconds": round(progress.seconds, 3),
        "stopped": progress.stopped,
        "sandbox": progress.sandbox,
    }


def _gain(run: RunRecord, db: str) -> str:
    """Returns by how much the best program is better than the first, also on held-out inputs if there are any."""
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    try:
        storage = open_storage(db, create=False)
        scorer = Scorer(run)
        ((best, evaluation),) = storage.best(run.name, 1)
        entries = scorer.entries({0: storage.program(run.name, 0), best: evaluation}, storage)
        scorer.close()
        storage.close()
    except FunsearchError as error:  # the search itself has ended and is saved
        return str(error)
    return scorer.gain(entries[0], entries[best])


def _print_result(progress: Progress, budget: Budget, gain: str, db_option: str) -> None:
    reason = progress.stopped
    click.echo(f"Stopped: {_why(reason, budget)}.")
    if reason == "minutes" and not progress.session_samples:
        click.echo("The model returned no sample in that time, which includes loading it. Resume with more --minutes.")
    if progress.best_score is not None:
        click.echo(f"Best score: {progress.best_score:.6g}.{gain and ' '}{gain}")
    if progress.cost is not None:
        click.echo(f"Cost of the tokens: {progress.cost:.4g}.")
    click.echo(f"  funsearch best {progress.run}{db_option}      shows the best programs")
    if progress.best_program:
        lineage = f"funsearch lineage {progress.run} {progress.best_program}{db_option}"
        click.echo(f"  {lineage}      shows the ancestors of the best one")
    click.echo(f"  funsearch ui{db_option}      shows all of it in a browser")
    click.echo(f"  funsearch resume {progress.run}{db_option}      continues the search")


def _why(reason: str, budget: Budget) -> str:
    """Returns why a search stopped, as a clause that states the limit that was reached."""
    match reason:
        case "samples":
            return f"the limit of {_count(budget.samples, 'sample')} was reached"
        case "minutes":
            return f"the time limit of {_count(budget.minutes, 'minute')} was reached"
        case "target":
            return f"the target score of {budget.target:g} was reached"
        case "cost":
            return f"the cost limit of {_amount(budget.cost or 0.0)} was reached"
        case "exhausted":
            return "the sampler has no more answers"
        case "interrupted":
            return "the search was interrupted; everything finished is saved"
    return reason


def _count(limit: float | None, unit: str) -> str:
    """Returns a limit with its unit, in the plural unless it is 1."""
    return f"{limit:,.10g} {unit}{'' if limit == 1 else 's'}"


def _amount(cost: float) -> str:
    """Returns a cost with two decimals, or with more if two would change it."""
    return f"{cost:.2f}" if cost == round(cost, 2) else f"{cost:g}"


def _prepare_model(settings: Settings) -> None:
    """Unpacks the built-in model with a progress bar, before Ray is started."""
    embedded = any(split_spec(spec) == ("vllm", "") for spec in settings.samplers) and not settings.vllm.model
    if not embedded:
        return
    from rich.progress import Progress as Bar

    from funsearch.samplers.embedded import embedded_model

    with Bar(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("Preparing the built-in model (only once)", total=1.0)
        embedded_model(lambda step, share: bar.update(task, description=step, completed=share))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
