"""Pictures of what programs build are drawn on request, once each."""

import pytest
from fastapi.testclient import TestClient

from funsearch.core.records import Function, RunRecord
from funsearch.errors import PictureError
from funsearch.storage import SqlStorage
from funsearch.web.app import create_app


@pytest.fixture
def drawn() -> list[str]:
    """Names of the runs whose programs have been drawn."""
    return []


@pytest.fixture
def client(database: SqlStorage, drawn: list[str]) -> TestClient:
    """A client of a page that can draw pictures."""

    def draw(record: RunRecord, function: Function) -> bytes:
        drawn.append(record.name)
        if "1 / 0" in function.body:
            raise PictureError("Nothing valid is built: ZeroDivisionError")
        return b"\x89PNG"

    return TestClient(create_app(database, draw=draw), base_url="http://localhost")


def test_a_picture_is_drawn_once_and_not_for_other_sites(client: TestClient, drawn: list[str]) -> None:
    assert 'src="/runs/1/programs/0/picture.png"' in client.get("/runs/1/programs/0/picture").text
    answer = client.get("/runs/1/programs/0/picture.png", headers={"sec-fetch-site": "same-origin"})
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG", "image/png")
    assert drawn == ["closeness-1"]
    for page in ("picture.png", "picture"):
        elsewhere = client.get(f"/runs/1/programs/3/{page}", headers={"sec-fetch-site": "cross-site"})
        assert elsewhere.status_code == 404
    assert len(drawn) == 1


def test_a_picture_that_cannot_be_drawn_is_explained(
    client: TestClient, page: TestClient, database: SqlStorage
) -> None:
    bodies = [e.function.body if e.function else "" for e in database.evaluations("closeness-1")]
    failing = next(id for id, body in enumerate(bodies) if "1 / 0" in body)
    answer = client.get(f"/runs/1/programs/{failing}/picture")
    assert answer.status_code == 404
    assert "ZeroDivisionError" in answer.text
    assert client.get(f"/runs/1/programs/{bodies.index('')}/picture").status_code == 404
    assert page.get("/runs/1/programs/0/picture").status_code == 404
