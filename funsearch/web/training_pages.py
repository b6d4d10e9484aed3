"""The page about a training (ReST^EM): its rounds, how good each policy is, and what the gate decided."""

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from funsearch.rest_em.records import Figures, RoundRecord
from funsearch.storage import SqlStorage
from funsearch.web.charts import Chart, Series, lines
from funsearch.web.rendering import Pages
from funsearch.web.run_pages import Id

MEASURES = ("greedy", "sampled", "pass_at_k", "majority_at_k")


def add_training_pages(app: FastAPI, storage: SqlStorage, pages: Pages) -> None:
    """Adds it to the application. Trainings are told apart by their place in the list, which only grows."""

    @app.get("/trainings/{number}", response_class=HTMLResponse)
    def training(number: Id) -> HTMLResponse:
        every = storage.trainings()
        if not 1 <= number <= len(every):
            raise HTTPException(404)
        line = every[number - 1]
        rounds = storage.rounds(line.name)
        values = {"record": storage.training(line.name), "rounds": rounds, "measures": MEASURES}
        return pages.show("training.html", training=line, chart_of=accuracies(rounds), **values)


def accuracies(rounds: list[RoundRecord]) -> Chart:
    """Returns pass@1 over the rounds, for each split and way of answering, with standard errors."""
    splits = list(dict.fromkeys(split for one in rounds for split in one.figures))
    series = []
    for split in splits:
        known = [(one.round, one.figures[split]) for one in rounds if split in one.figures]
        series.append(_series(f"{split}, likeliest answer", known, "greedy"))
        series.append(_series(f"{split}, drawn answers", known, "sampled"))
    return lines("accuracy", "pass@1", "rounds", series)


def _series(label: str, known: list[tuple[int, Figures]], measure: str) -> Series:
    estimates = [(round, getattr(figures, measure)) for round, figures in known]
    points = [(float(round), estimate.value) for round, estimate in estimates]
    return Series(label, points, [estimate.error for _, estimate in estimates])
