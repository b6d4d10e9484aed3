"""The pages about whole runs: the list, a run's course, its best programs, islands and programs, and comparisons."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from fastapi.responses import HTMLResponse

from funsearch.core.records import Evaluation, Status, Usage
from funsearch.errors import ConfigError
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage
from funsearch.storage.views import WINDOW, RunLine, Views
from funsearch.web import course
from funsearch.web.charts import lines
from funsearch.web.islands import circles
from funsearch.web.rendering import Pages

TOP = 30
"""Programs on the leaderboard at first."""
MOST = 100
"""Programs on it at most."""
LISTED = 50
"""Programs of a list on one page."""
COMPARED = 8
"""Runs that are compared at most: as many as there are colours."""

Id = Annotated[int, Path(ge=0, le=2**31 - 1)]


def add_run_pages(app: FastAPI, storage: SqlStorage, pages: Pages) -> None:
    """Adds them to the application."""
    views = Views(storage)

    def page(name: str, run: int, **values: Any) -> HTMLResponse:
        line = views.run(run)
        return pages.show(name, run=line, record=storage.run(line.name), **values)

    def state(line: RunLine) -> dict[str, Any]:
        """Returns what the live part of a run's page shows."""
        snapshots, resets = storage.snapshots(line.name), list(storage.resets(line.name))
        last = snapshots[-1] if snapshots else None
        parts = course.spans(snapshots)
        return {
            "last": last,
            "now": parts[-1] if parts else None,
            "charts": course.charts(snapshots, resets),
            "leaders": views.leaders(line.id, 3),
            "newest": views.newest(line.id),
            "costs": _costs(storage.run(line.name).settings, last.usage) if last else None,
        }

    @app.get("/", response_class=HTMLResponse)
    def runs() -> HTMLResponse:
        return pages.show("runs.html", runs=views.runs(), trainings=storage.trainings(), db=storage.label)

    @app.get("/runs/{run}", response_class=HTMLResponse)
    def run(run: Id) -> HTMLResponse:
        return page("run.html", run, **state(views.run(run)))

    @app.get("/runs/{run}/live", response_class=HTMLResponse)
    def live(run: Id) -> HTMLResponse:
        line = views.run(run)
        return pages.show("live.html", run=line, **state(line))

    @app.get("/runs/{run}/best", response_class=HTMLResponse)
    def best(run: Id, top: Annotated[int, Query(ge=1, le=MOST)] = TOP) -> HTMLResponse:
        leaders = views.leaders(run, top)
        inputs = list(dict.fromkeys(name for leader in leaders for name in leader.scores))
        unseen = list(dict.fromkeys(name for one in leaders if one.heldout for name in one.heldout.scores))
        first = _first(storage, views.run(run).name) if leaders else None
        return page("best.html", run, leaders=leaders, first=first, inputs=inputs, unseen=unseen, top=top, most=MOST)

    @app.get("/runs/{run}/islands", response_class=HTMLResponse)
    def islands(run: Id) -> HTMLResponse:
        snapshots = storage.snapshots(views.run(run).name)
        stand = snapshots[-1].islands if snapshots else ()
        clusters = views.clusters(run, [island.resets for island in stand])
        return page("islands.html", run, islands=stand, rows=circles(clusters, len(stand)), clusters=clusters)

    @app.get("/runs/{run}/programs", response_class=HTMLResponse)
    def programs(run: Id, below: Annotated[int | None, Query(ge=0, le=2**31)] = None, status: str = "") -> HTMLResponse:
        newest = views.newest(run)
        start = below if below is not None else (-1 if newest is None else newest) + 1
        found = views.lines(run, start, LISTED, status or None)
        return page("programs.html", run, lines=found, status=status, words=list(Status), start=start, window=WINDOW)

    @app.get("/runs/{run}/about", response_class=HTMLResponse)
    def about(run: Id) -> HTMLResponse:
        return page("about.html", run)

    @app.get("/compare", response_class=HTMLResponse)
    def compare(run: Annotated[list[int] | None, Query()] = None) -> HTMLResponse:
        chosen = [line for line in views.runs() if line.id in (run or ())][:COMPARED]
        series, settings = [], {}
        for line in chosen:
            series.append(course.best_score(line.name, storage.snapshots(line.name)))
            settings[line.id] = _flat(storage.run(line.name).settings)
        chart = lines("compared", "Best score", "samples", series, stepped=True)
        return pages.show("compare.html", runs=chosen, chart_of=chart, settings=_differing(settings))


def _first(storage: SqlStorage, run: str) -> tuple[Evaluation, Mapping[str, float]]:
    """Returns the first program of a run, and its scores on held-out inputs as far as they are known."""
    heldout = storage.heldout(run, [0]).get(0)
    return storage.program(run, 0), heldout.scores if heldout else {}


def _costs(settings: Any, usage: Mapping[str, Usage]) -> dict[str, float] | None:
    """Returns what the tokens of each model cost; None without a price for each."""
    try:
        restored = Settings.restored(settings)[0]
    except ConfigError:  # of another version
        return None
    costs = {model: restored.cost({model: used}) for model, used in usage.items()}
    known = {model: cost for model, cost in costs.items() if cost is not None}
    return known if restored.prices and known.keys() == costs.keys() else None


def _flat(settings: Any, path: str = "") -> dict[str, str]:
    """Returns nested settings by their dotted paths."""
    if not isinstance(settings, dict):
        return {path: str(settings)}
    parts = [_flat(value, f"{path}.{key}" if path else str(key)) for key, value in settings.items()]
    return {key: value for part in parts for key, value in part.items()}


def _differing(settings: dict[int, dict[str, str]]) -> dict[str, list[str]]:
    """Returns the settings in which runs differ, by path, a value for each run."""
    paths: Iterable[str] = dict.fromkeys(path for one in settings.values() for path in one)
    values = {path: [one.get(path, "-") for one in settings.values()] for path in paths}
    return {path: row for path, row in values.items() if len(set(row)) > 1}
