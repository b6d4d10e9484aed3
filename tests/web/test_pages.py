"""Every view of runs that finished, are running, contain hostile texts, or do not exist."""

import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from funsearch.core.records import RunRecord
from funsearch.storage import SqlStorage
from funsearch.web.app import create_app
from funsearch.web.text import MAX_SHOWN

VIEWS = ["", "/live", "/best", "/islands", "/programs", "/programs/0", "/programs/3", "/programs/3/lineage", "/about"]
HOSTILE_RUN = 3


class Elements(HTMLParser):
    """Reads the elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.inline.append(f"{tag} {name}")
            if name in ("href", "src", "action", "data-src", "data-live"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def shown(page: TestClient, address: str) -> str:
    answer = page.get(address)
    assert answer.status_code == 200, (address, answer.text[:500])
    return answer.text


@pytest.mark.parametrize("run", [1, 2, 3, 4])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_every_run_loads_nothing_from_other_hosts(page: TestClient, run: int, view: str) -> None:
    text = shown(page, f"/runs/{run}{view}")
    assert text.count('aria-current="page"') == (0 if view == "/live" else 1)
    elements = Elements(text)
    assert all(re.match(r"[/?#](?!/)", link) for link in elements.links), elements.links
    assert elements.tags.count("script") == (0 if view == "/live" else 1)
    assert elements.inline == []
    assert len(elements.ids) == len(set(elements.ids))


def test_every_link_works(page: TestClient) -> None:
    seen, queue = set(), ["/"]
    while queue:
        address = queue.pop()
        if address in seen or len(seen) > 400:
            continue
        seen.add(address)
        answer = page.get(address)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            for link in Elements(answer.text).links:
                if link.startswith(("?", "#")):
                    link = address.partition("?")[0] + (link if link.startswith("?") else "")
                queue.append(link)
    assert len(seen) > 100


def test_runs_are_listed_newest_first_with_their_state(page: TestClient) -> None:
    text = shown(page, "/")
    assert text.index("closeness-3") < text.index("closeness-1")
    assert "running" in text
    assert "exhausted" in text


def test_page_of_an_empty_database_says_how_to_start(empty: SqlStorage) -> None:
    with TestClient(create_app(empty), base_url="http://localhost") as client:
        assert "funsearch run" in client.get("/").text
        assert client.get("/runs/1").status_code == 404
        assert "two or more runs" in client.get("/compare").text


def test_every_view_of_a_new_run_works(empty: SqlStorage) -> None:
    empty.create_run(
        RunRecord(
            name="new",
            problem="p",
            specification="import funsearch\n",
            evaluator="",
            settings={"inputs": []},
            sandbox="L2",
            created=1e9,
        )
    )
    with TestClient(create_app(empty), base_url="http://localhost") as client:
        for view in ("", "/live", "/best", "/islands", "/programs", "/about"):
            assert client.get(f"/runs/1{view}").status_code == 200, view
        assert client.get("/runs/1/programs/0").status_code == 404
        assert "No programs have been evaluated yet" in client.get("/runs/1").text


def test_charts_mark_resets_and_have_summaries(page: TestClient) -> None:
    text = shown(page, "/runs/1")
    assert text.count('<line class="mark"') >= 3
    for word in ("island 3", "valid", "duplicate", "failed", "RUNTIME_ERROR", "Tokens per second", "as a table"):
        assert word in text
    assert text.count('role="img"') == len(re.findall(r"<title id=.*?-summary", text)) == 5


def test_pages_of_runs_state_whether_they_are_running(page: TestClient) -> None:
    assert 'data-state="running"' in shown(page, "/runs/4/live")
    assert 'data-state="finished"' in shown(page, "/runs/1/live")


def test_cost_is_shown_if_prices_are_set(page: TestClient) -> None:
    assert "<dt>cost</dt>" in shown(page, "/runs/2")
    assert "<dt>cost</dt>" not in shown(page, "/runs/1")


def test_work_in_progress_is_counted(page: TestClient) -> None:
    assert "0 prompts on 1 sampler, 0 programs on 1 evaluator" in shown(page, "/runs/4/live")


def test_leaderboard_shows_search_and_heldout_scores(page: TestClient, database: SqlStorage) -> None:
    text = shown(page, "/runs/1/best")
    assert "seven (held out)" in text
    assert text.count("-0.125") == 3
    first = database.best("closeness-1", 1)[0]
    rows = re.findall(r"/programs/(\d+)", text[text.index("<thead>") :])
    assert rows[:2] == ["0", str(first[0])], "the first program is the first row, for comparison"
    assert "To see scores on held-out inputs here, run" in shown(page, "/runs/2/best")
    assert not database.heldout("closeness-2", [0])


def test_program_shows_its_parents_and_how_to_check_it(page: TestClient, database: SqlStorage) -> None:
    id, evaluation = database.best("closeness-1", 1)[0]
    text = shown(page, f"/runs/1/programs/{id}")
    for parent in evaluation.sample.prompt.parents:
        assert f"program {parent}" in text
    for word in (
        "t-gi",
        "three",
        "five",
        "seven (held out)",
        "guessed",
        "funsearch verify",
        "answer of the model, unmodified",
    ):
        assert word in text


def test_lineage_reaches_the_first_program_and_shows_gains(page: TestClient, database: SqlStorage) -> None:
    id, _ = database.best("closeness-1", 1)[0]
    text = shown(page, f"/runs/1/programs/{id}/lineage")
    assert "first program" in text
    assert re.search(r'class="gain up">\+', text)
    a, b = re.findall(r'data-src="/runs/1/diff/(\d+)/(\d+)\?bare=1"', text)[0]
    bare = shown(page, f"/runs/1/diff/{a}/{b}?bare=1")
    assert "<html" not in bare
    assert f"--- program {a}" in bare


def test_programs_can_be_filtered_by_status(page: TestClient) -> None:
    text = shown(page, "/runs/1/programs?status=RUNTIME_ERROR")
    rows = re.findall(r"<tr><td>.*?</td><td>(\w+)", text)
    assert rows
    assert set(rows) == {"RUNTIME_ERROR"}
    assert "has this status" in shown(page, "/runs/1/programs?status=MEMORY")


def test_islands_show_their_clusters(page: TestClient) -> None:
    text = shown(page, "/runs/1/islands")
    assert text.count("<h2>Island") == 4
    assert text.count("<circle") > 8


def test_compared_runs_show_only_settings_that_differ(page: TestClient) -> None:
    text = shown(page, "/compare?run=1&run=2")
    assert "<th>seed</th>" in text
    assert "samples_per_prompt" not in text
    assert text.count('<path class="line') == 4


@pytest.mark.parametrize("address", ["/nope", "/runs/99", "/runs/x", "/runs/1/programs/999", f"/runs/{10**20}"])
def test_unknown_addresses_get_an_error_page(page: TestClient, address: str) -> None:
    answer = page.get(address)
    assert answer.status_code == 404
    assert "Not found" in answer.text


def test_hostile_texts_are_shown_as_text(page: TestClient, database: SqlStorage) -> None:
    count = len(list(database.evaluations("<script>alert(0)</script>")))
    everything = ""
    for id in range(count):
        for view in (f"/programs/{id}", f"/programs/{id}/lineage"):
            text = shown(page, f"/runs/{HOSTILE_RUN}{view}")
            everything += text
            assert Elements(text).tags.count("script") == 1
            assert "img" not in Elements(text).tags
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b\ud800-\udfff]", text)
            assert len(text) < 12 * MAX_SHOWN
    for symbol in ("&lt;script&gt;", "\u241b[31m", "⟨U+202E⟩", "⟨U+D800⟩", "Show the full text"):
        assert symbol in everything
    listed = "".join(shown(page, f"/runs/{HOSTILE_RUN}{view}") for view in ("/best", "/programs", "", "/about"))
    assert "<script>alert" not in listed + shown(page, "/")


def test_a_text_too_long_to_show_is_available_as_a_file(page: TestClient, database: SqlStorage) -> None:
    name = "<script>alert(0)</script>"
    id, longest = max(enumerate(database.evaluations(name)), key=lambda pair: len(pair[1].sample.text))
    assert len(longest.sample.text) > 10_000_000
    answer = page.get(f"/runs/{HOSTILE_RUN}/programs/{id}/answer.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == longest.sample.text
    assert page.get(f"/runs/{HOSTILE_RUN}/programs/{id}/other.txt").status_code == 404
