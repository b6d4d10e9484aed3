"""The page of a training."""

from fastapi.testclient import TestClient

from funsearch.core.completions import Policy
from funsearch.rest_em.records import Difference, Estimate, Figures, RoundRecord, Split, Task, TrainingRecord
from funsearch.storage import SqlStorage
from funsearch.web.app import create_app


def figures(value: float) -> Figures:
    return Figures(*(Estimate(value + extra, 0.05, 40) for extra in (0.0, 0.01, 0.2, 0.1)), 8)


def test_rounds_are_shown_with_standard_errors_and_decisions(empty: SqlStorage) -> None:
    task = Task(index=0, key="a/1", family="sums", split=Split.TRAIN, prompt="1+1=", reference={"answer": "2"})
    empty.create_training(TrainingRecord("<i>t</i>", "exact:sums.jsonl", "models/tiny", {"seed": 3}, 1.5), [task])
    empty.create_training(TrainingRecord("later", "exact:sums.jsonl", "models/tiny", {}, 2.5), [task])
    split = {"heldout": figures(0.25)}
    base = RoundRecord(
        round=0,
        policy="t@0",
        samples=0,
        correct=0,
        selected=0,
        figures=split,
        published=True,
        stop="",
        reason="the base model",
    )
    gain = Difference(0.125, 0.05, 0.2)
    first = RoundRecord(
        round=1,
        policy="t@1",
        samples=80,
        correct=31,
        selected=17,
        figures={"heldout": figures(0.375)},
        published=True,
        stop="",
        reason="better on held-out tasks",
        gain=gain,
    )
    policies = [
        Policy(name="t@0", round=0, base="models/tiny"),
        Policy(name="t@1", round=1, base="models/tiny", folder="folder", kind="lora"),
    ]
    empty.append_round("<i>t</i>", [policies[0], base])
    empty.append_round("<i>t</i>", [policies[1], first])
    with TestClient(create_app(empty), base_url="http://localhost") as client:
        assert 'href="/trainings/1">&lt;i&gt;t' in client.get("/").text
        text = client.get("/trainings/1").text
        assert "No rounds have finished yet" in client.get("/trainings/2").text
        assert client.get("/trainings/3").status_code == 404
    for fragment in ("37.5 ± 5.0", "38.5 ± 5.0", "+12.5 points", "+5.0 to +20.0", '<td class="n">49</td>', "better on"):
        assert fragment in text
    assert "<i>t" not in text
    line = text[text.index('<path class="line c0') :].partition("</path>")[0]
    assert line.count("M") == 3, "a line and two error bars"
