"""The pages about whole runs: the list, a run's progress, its best programs, islands and programs, and comparisons."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from funsearch.core.records import Status, Usage
from funsearch.errors import ConfigError
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage
from funsearch.storage.views import WINDOW, RunLine, Views
from funsearch.web import progress
from funsearch.web.charts import lines
from funsearch.web.islands import circles
from funsearch.web.parameters import Id
from funsearch.web.rendering import Pages

LEADERS = 30
"""Programs on the leaderboard at first."""
MAX_LEADERS = 100
"""Programs on the leaderboard at most."""
PAGE_SIZE = 50
"""Programs on one page of the list."""
MAX_COMPARED = 8
"""Runs in one comparison at most: as many as there are colours."""

Top = Annotated[int, Query(ge=1, le=MAX_LEADERS)]
Below = Annotated[int | None, Query(ge=0, le=2**31)]
Chosen = Annotated[list[int] | None, Query()]


class RunPages:
    """Shows runs."""

    def __init__(self, storage: SqlStorage, pages: Pages) -> None:
        self._storage = storage
        self._views = Views(storage)
        self._pages = pages

    def router(self) -> APIRouter:
        """Returns the routes of these pages."""
        router = APIRouter(default_response_class=HTMLResponse)
        router.get("/")(self.runs)
        router.get("/runs/{run}")(self.run)
        router.get("/runs/{run}/live")(self.live)
        router.get("/runs/{run}/best")(self.best)
        router.get("/runs/{run}/islands")(self.islands)
        router.get("/runs/{run}/programs")(self.programs)
        router.get("/runs/{run}/about")(self.about)
        router.get("/compare")(self.compare)
        return router

    def runs(self) -> HTMLResponse:
        """Lists the runs and trainings."""
        storage = self._storage
        return self._pages.show("runs.html", runs=self._views.runs(), trainings=storage.trainings(), db=storage.label)

    def run(self, run: Id) -> HTMLResponse:
        """Shows the progress of a run."""
        return self._page("run.html", run, **self._progress(self._views.run(run)))

    def live(self, run: Id) -> HTMLResponse:
        """Shows the part of a run's page that changes while the run is running."""
        line = self._views.run(run)
        return self._pages.show("live.html", run=line, **self._progress(line))

    def best(self, run: Id, top: Top = LEADERS) -> HTMLResponse:
        """Shows the leaderboard, with the first program for comparison."""
        leaders = self._views.leaders(run, top)
        name = self._views.run(run).name
        baseline = self._storage.heldout(name, [0]).get(0)
        return self._page(
            "best.html",
            run,
            name=shlex.quote(name),
            leaders=leaders,
            first=self._storage.program(name, 0) if leaders else None,
            first_heldout=baseline.scores if baseline else {},
            inputs=list(dict.fromkeys(input for leader in leaders for input in leader.scores)),
            unseen=list(
                dict.fromkeys(input for leader in leaders if leader.heldout for input in leader.heldout.scores)
            ),
            top=top,
            max_leaders=MAX_LEADERS,
        )

    def islands(self, run: Id) -> HTMLResponse:
        """Shows the islands and their clusters."""
        snapshots = self._storage.snapshots(self._views.run(run).name)
        islands = snapshots[-1].islands if snapshots else ()
        clusters = self._views.clusters(run, [island.resets for island in islands])
        rows = circles(clusters, len(islands))
        return self._page("islands.html", run, islands=islands, rows=rows, clusters=clusters)

    def programs(self, run: Id, below: Below = None, status: str = "") -> HTMLResponse:
        """Lists programs, newest first, all of them or those of one status."""
        newest = self._views.newest(run)
        start = below if below is not None else (-1 if newest is None else newest) + 1
        programs = self._views.lines(run, start, PAGE_SIZE, status or None)
        return self._page(
            "programs.html", run, lines=programs, status=status, statuses=list(Status), start=start, window=WINDOW
        )

    def about(self, run: Id) -> HTMLResponse:
        """Shows the problem and the settings of a run."""
        return self._page("about.html", run)

    def compare(self, run: Chosen = None) -> HTMLResponse:
        """Compares the best scores and the settings of several runs."""
        chosen = [line for line in self._views.runs() if line.id in (run or ())][:MAX_COMPARED]
        series = [progress.best_score(line.name, self._storage.snapshots(line.name)) for line in chosen]
        settings = {line.id: _flat(self._storage.run(line.name).settings) for line in chosen}
        chart = lines("compared", "Best score", "samples", series, stepped=True)
        return self._pages.show("compare.html", runs=chosen, compared=chart, settings=_differing(settings))

    def _page(self, template: str, run: int, **values: object) -> HTMLResponse:
        line = self._views.run(run)
        return self._pages.show(template, run=line, record=self._storage.run(line.name), **values)

    def _progress(self, line: RunLine) -> dict[str, object]:
        """Returns what the live part of a run's page shows."""
        snapshots, resets = self._storage.snapshots(line.name), list(self._storage.resets(line.name))
        last = snapshots[-1] if snapshots else None
        spans = progress.spans(snapshots)
        return {
            "last": last,
            "now": spans[-1] if spans else None,
            "charts": progress.charts(snapshots, resets),
            "leaders": self._views.leaders(line.id, 3),
            "newest": self._views.newest(line.id),
            "costs": _costs(self._storage.run(line.name).settings, last.usage) if last else None,
        }


def _costs(stored: Mapping[str, object], usage: Mapping[str, Usage]) -> dict[str, float] | None:
    """Returns the cost of each model's tokens; None unless each model has a price."""
    try:
        settings, _ = Settings.restored(stored)
    except ConfigError:  # written by another version
        return None
    costs = {model: settings.cost({model: used}) for model, used in usage.items()}
    priced = {model: cost for model, cost in costs.items() if cost is not None}
    return priced if settings.prices and priced.keys() == costs.keys() else None


def _flat(settings: object, path: str = "") -> dict[str, str]:
    """Returns nested settings by their dotted paths."""
    if not isinstance(settings, dict):
        return {path: str(settings)}
    parts = [_flat(value, f"{path}.{key}" if path else str(key)) for key, value in settings.items()]
    return {key: value for part in parts for key, value in part.items()}


def _differing(settings: Mapping[int, Mapping[str, str]]) -> dict[str, list[str]]:
    """Returns the settings in which runs differ, by path, with a value for each run."""
    paths: Iterable[str] = dict.fromkeys(path for of_run in settings.values() for path in of_run)
    values = {path: [of_run.get(path, "-") for of_run in settings.values()] for path in paths}
    return {path: row for path, row in values.items() if len(set(row)) > 1}
