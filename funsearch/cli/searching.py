"""What `run` and `resume` have in common: the start, the live view, the end."""

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


def go(
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
    if address is None:  # on a cluster the samplers do it, where they are
        _prepare_model(settings)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had the first one ignored
        signal.signal(number, _interrupt)
    screen = console(stderr=True)
    screen.print(f"Run {run.name}: {run.problem}, sandbox {run.sandbox}, samplers {', '.join(settings.samplers)}")
    if run.sandbox == "none":
        screen.print("WARNING: candidates run without confinement; every score is marked `none`.", style="bold red")
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
        _say(progress, "" if progress.best_score is None or progress.state == "interrupted" else _gain(run, db), db)
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
    """Returns how much better the best program is than the first, on held-out inputs too if the problem has any."""
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    try:
        storage = open_storage(db, create=False)
        scorer = Scorer(run)
        ((best, evaluation),) = storage.best(run.name, 1)
        entries = scorer.entries({0: storage.program(run.name, 0), best: evaluation}, storage)
        scorer.close()
        storage.close()
    except FunsearchError as error:  # the search itself is done and saved
        return str(error)
    return scorer.gain(entries[0], entries[best])


def _say(progress: Progress, gain: str, db: str) -> None:
    where = same_db(db)
    why = {
        "samples": "the samples asked for are there",
        "minutes": "the time is up",
        "target": "the target is reached",
        "cost": "the money is spent",
        "exhausted": "the sampler has no more answers",
        "interrupted": "interrupted; everything finished is saved",
    }
    click.echo(f"Stopped: {why.get(progress.stopped, progress.stopped)}.")
    if progress.stopped == "minutes" and not progress.session_samples:
        click.echo("The model gave no answer in that time; loading it counts. Go on with more --minutes.")
    if progress.best_score is not None:
        click.echo(f"Best score {progress.best_score:.6g}.{gain and ' '}{gain}")
    if progress.cost is not None:
        click.echo(f"The tokens cost {progress.cost:.4g}.")
    click.echo(f"  funsearch best {progress.run}{where}      the best programs")
    if progress.best_program:
        click.echo(
            f"  funsearch lineage {progress.run} {progress.best_program}{where}      how the best one came about"
        )
    click.echo(f"  funsearch ui{where}      the same in a browser, and how they came about")
    click.echo(f"  funsearch resume {progress.run}{where}    goes on")


def _prepare_model(settings: Settings) -> None:
    """Makes the built-in model's folder, with a progress bar, before Ray is started."""
    embedded = any(split_spec(spec) == ("vllm", "") for spec in settings.samplers) and not settings.vllm.model
    if not embedded:
        return
    from rich.progress import Progress as Bar

    from funsearch.samplers.embedded import embedded_model

    with Bar(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("Preparing the built-in model (once)", total=1.0)
        embedded_model(lambda what, share: bar.update(task, description=what, completed=share))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
