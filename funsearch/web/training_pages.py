"""The page of a training (ReST^EM): its rounds, the accuracy of each policy, and the decisions of the gate."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from funsearch.rest_em.records import Estimate, Figures, RoundRecord
from funsearch.storage import SqlStorage
from funsearch.web.charts import Chart, Series, lines
from funsearch.web.parameters import Id
from funsearch.web.rendering import Pages

MEASURES = ("greedy", "sampled", "pass_at_k", "majority_at_k")
"""Fields of `Figures` in the order of the table's columns."""


class TrainingPages:
    """Shows trainings. A training's number is its position in the list, which only grows."""

    def __init__(self, storage: SqlStorage, pages: Pages) -> None:
        self._storage = storage
        self._pages = pages

    def router(self) -> APIRouter:
        """Returns the route of this page."""
        router = APIRouter(default_response_class=HTMLResponse)
        router.get("/trainings/{number}")(self.training)
        return router

    def training(self, number: Id) -> HTMLResponse:
        """Shows the rounds of a training."""
        trainings = self._storage.trainings()
        if not 1 <= number <= len(trainings):
            raise HTTPException(404)
        training = trainings[number - 1]
        rounds = self._storage.rounds(training.name)
        return self._pages.show(
            "training.html",
            training=training,
            record=self._storage.training(training.name),
            rounds=rounds,
            measures=MEASURES,
            accuracy=accuracy(rounds),
        )


def accuracy(rounds: Sequence[RoundRecord]) -> Chart:
    """Returns pass@1 over the rounds, with standard errors, for each split and both ways of decoding."""
    splits = list(dict.fromkeys(split for record in rounds for split in record.figures))
    series = []
    for split in splits:
        measured = [(record.round, record.figures[split]) for record in rounds if split in record.figures]
        series.append(_series(f"greedy answers, {split}", measured, lambda figures: figures.greedy))
        series.append(_series(f"sampled answers, {split}", measured, lambda figures: figures.sampled))
    return lines("accuracy", "pass@1", "round", series)


def _series(label: str, measured: Sequence[tuple[int, Figures]], measure: Callable[[Figures], Estimate]) -> Series:
    estimates = [(round, measure(figures)) for round, figures in measured]
    points = [(float(round), estimate.value) for round, estimate in estimates]
    return Series(label, points, [estimate.error for _, estimate in estimates])
