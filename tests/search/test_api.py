"""The Python API: searches from names, callables and samplers, ask and tell, resume, and errors for invalid arguments.

Runs without Ray and without a model.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import funsearch
from funsearch.loading import Problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.storage import open_storage
from funsearch.testing.endpoint import FakeEndpoint

BODIES = ["    return x\n", "    return x * 0.5\n", "    return 1 / 0\n", "no code (\n"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/x.db"


def runs(url: str) -> list[str]:
    """Returns the names of the runs in a database, which may not exist."""
    if not Path(url.removeprefix("sqlite:///")).exists():
        return []
    storage = open_storage(url, create=False)
    names = [summary.run for summary in storage.runs()]
    storage.close()
    return names


def counting_model(bound: float = math.inf) -> Callable[[funsearch.Prompt, int], list[str]]:
    """Returns a callable that writes ever better programs, `bound` of them."""
    numbers: Iterator[int] = iter(range(10**9))

    def my_model(prompt: funsearch.Prompt, count: int) -> list[str]:
        assert "def guess_v" in prompt.text
        return [f"    return x + {3 / (n + 1):.4f}\n" for _, n in zip(range(count), numbers, strict=False) if n < bound]

    return my_model


def test_search_runs_a_callable_on_a_problem_file(problem_file: Path, url: str) -> None:
    with funsearch.Search(problem_file, sampler=counting_model(), storage=url, name="caps", seed=0) as search:
        progress = search.run(max_samples=20)
        assert (progress.samples, search.samples) == (20, 20)
        best = search.best(heldout=True)
        assert best.code.startswith("def guess(x: float) -> float:")
        assert best.scores.keys() == {"three", "five"}
        assert best.heldout is not None
        assert best.heldout.keys() == {"seven"}
        assert search.best().heldout is None
    with funsearch.Run("caps", url) as run:
        assert run.best().id == best.id
        assert run.best().heldout == best.heldout


def test_shipped_problem_is_found_by_its_name(url: str) -> None:
    with funsearch.Search("cap_set", sampler=lambda prompt, count: [], storage=url) as search:
        assert search.run().samples == 0
        assert search.best().score == 256.0


def test_callable_that_returns_an_empty_list_ends_the_search(problem: Problem, url: str) -> None:
    with funsearch.Search(problem, sampler=counting_model(bound=7), storage=url) as search:
        progress = search.run(max_samples=100)
    assert progress.samples == 7


def test_object_with_a_method_sample_is_a_sampler(problem: Problem, url: str) -> None:
    class Mine:
        def sample(self, prompt: funsearch.Prompt, count: int) -> list[str]:
            return BODIES[:count]

    with funsearch.Search(problem, sampler=Mine(), storage=url, name="mine") as search:
        search.run(max_samples=4)
    storage = open_storage(url, create=False)
    assert storage.run("mine").settings["samplers"] == ["python:Mine"]
    assert {sample.model for sample in storage.samples("mine") if sample.prompt.index >= 0} == {"Mine"}
    storage.close()


def test_specification_samples_from_an_endpoint_in_several_threads(problem: Problem, url: str) -> None:
    with FakeEndpoint(lambda prompt, n: [f"    return x + {len(prompt) % 7 + k}.0\n" for k in range(n)]) as endpoint:
        options = {"sampler": "openai:fake", "base_url": endpoint.url, "storage": url, "evaluators": 2}
        with funsearch.Search(problem, **options, prompts_in_flight=3) as search:
            assert search.run(max_samples=40).samples == 40
            assert search.settings.openai.base_url == endpoint.url
        with funsearch.Search.resume(search.name, storage=url) as again:
            assert again.run(max_samples=60).samples == 60


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"database": {"islands": 3}}, (3, 4)),
        ({"database__islands": 3, "samples_per_prompt": 2}, (3, 2)),
        ({"settings": {"samples_per_prompt": 5}, "database__islands": 3}, (3, 5)),
        ({"settings": {"samples_per_prompt": 5, "database": {"islands": 9}}, "database__islands": 3}, (3, 5)),
    ],
)
def test_settings_can_be_passed_by_name(
    options: dict[str, object], expected: tuple[int, int], problem: Problem, url: str
) -> None:
    with funsearch.Search(problem, sampler=counting_model(), storage=url, **options) as search:  # type: ignore[arg-type]
        assert (search.settings.database.islands, search.settings.samples_per_prompt) == expected


def test_ask_and_tell_need_neither_ray_nor_a_sampler(problem: Problem, url: str) -> None:
    with funsearch.Search(problem, storage=url, name="told") as search:
        prompts = search.ask(3)
        assert [prompt.index for prompt in prompts] == [0, 1, 2]
        for prompt in prompts:
            evaluations = search.tell(prompt, BODIES[:3], model="mine")
            assert len(evaluations) == 3
        assert evaluations[0].duplicate_of == 1
        assert [str(e.status) for e in evaluations] == ["OK", "OK", "RUNTIME_ERROR"]
        assert search.best().score == 0.0
        assert search.samples == 9
        (untold,) = search.ask(1)
    with funsearch.Search.resume("told", storage=url) as again:
        assert again.best().score == 0.0
        assert again.ask(2)[0] == untold, "the prompt that was not told comes first"
        assert again.samples == 9
        with pytest.raises(funsearch.ConfigError, match="The run told has no sampler: pass sampler="):
            again.run(max_samples=20)


def test_told_run_replays_and_is_listed(problem: Problem, url: str) -> None:
    from funsearch.search.replay import replay
    from funsearch.testing import InProcessSandbox

    with funsearch.Search(problem, storage=url, name="told", database__islands=2) as search:
        for _ in range(6):
            for prompt in search.ask(2):
                search.tell(prompt, [f"    return x + {prompt.index}\n"])
    storage = open_storage(url, create=False)
    assert replay(storage, storage.run("told"), InProcessSandbox()).first_difference is None
    assert storage.runs()[0].samples == 12
    storage.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": 7}, "sampler = 7: give a specification"),
        ({"sampler": ["openai:a", 3]}, r"sampler = \['openai:a', 3\]"),
        ({"sampler": ScriptedSampler}, "sampler = <class"),
        ({"sampler": "openai"}, "The sampler openai needs a model"),
        ({"sampler": "magic:x"}, "Unknown sampler magic:x"),
        ({"sampler": "scripted:gone.jsonl"}, "There is no file gone.jsonl"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": "x"}, "seed = 'x'"),
        ({"name": ""}, "name = '': give the run a name"),
        ({"name": 5}, "name = 5: give the run a name"),
        ({"settings": {"sed": 1}}, "Unknown setting sed: did you mean seed"),
        ({"settings": 5}, "settings = 5: give a dict of settings, or the path of a TOML file"),
        ({"settings": "gone.toml"}, "Cannot read the settings file gone.toml"),
        ({"islands": 3}, "Unknown setting islands"),
        ({"database": {"ilands": 3}}, "did you mean database.islands"),
        ({"database__islands": 0}, "database.islands = 0"),
        ({"sampler": "vllm", "train": {"every": 5}}, "train.every = 5: a search in this process"),
        ({"storage": 3}, "storage = 3: give the URL of a database"),
        ({"storage": "x"}, "x is not the URL of a database"),
    ],
)
def test_invalid_argument_leaves_no_run(arguments: dict[str, object], message: str, problem: Problem, url: str) -> None:
    with pytest.raises(funsearch.FunsearchError, match=message):
        funsearch.Search(problem, **{"storage": url, "sampler": counting_model(), **arguments})  # type: ignore[arg-type]
    assert runs(url) == []


@pytest.mark.parametrize("problem", [3, None, b"cap_set", object])
def test_problem_of_the_wrong_type_is_refused(problem: object, url: str) -> None:
    with pytest.raises(funsearch.ConfigError, match=r"problem = .*: give the name of a problem"):
        funsearch.Search(problem, storage=url)  # type: ignore[arg-type]
    assert runs(url) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("    return x\n", "my_model returned .*: return a list of strings"),
        (None, "my_model returned None: return a list of strings"),
        ([1], "my_model returned 1 in its list"),
        (["    return x\n"] * 9, "my_model returned 9 texts for count = 4"),
    ],
)
def test_callable_that_returns_something_else_is_refused(
    texts: object, message: str, problem: Problem, url: str
) -> None:
    def my_model(prompt: funsearch.Prompt, count: int) -> object:
        return texts

    with (
        funsearch.Search(problem, sampler=my_model, storage=url) as search,  # type: ignore[arg-type]
        pytest.raises(funsearch.SamplerError, match=message),
    ):
        search.run(max_samples=4)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"max_samples": 0}, "max_samples = 0: give a positive number"),
        ({"max_samples": 1.5}, "max_samples = 1.5"),
        ({"minutes": -1}, "minutes = -1"),
        ({"target": "high"}, "target = 'high'"),
        ({"max_cost": True}, "max_cost = True"),
    ],
)
def test_invalid_budget_is_refused(budget: dict[str, object], message: str, problem: Problem, url: str) -> None:
    with (
        funsearch.Search(problem, sampler=counting_model(), storage=url) as search,
        pytest.raises(funsearch.ConfigError, match=message),
    ):
        search.run(**budget)  # type: ignore[arg-type]


def test_tell_takes_a_prompt_once_and_only_if_ask_returned_it(problem: Problem, url: str) -> None:
    with funsearch.Search(problem, storage=url) as search:
        (prompt,) = search.ask()
        with pytest.raises(funsearch.FunsearchError, match=r"tell returned '    return x.*': return a list of strings"):
            search.tell(prompt, "    return x\n")
        search.tell(prompt, ["    return x\n"])
        for wrong in (prompt, 3, None):
            with pytest.raises(funsearch.ConfigError, match="was not asked for, or was told before"):
                search.tell(wrong, ["    return x\n"])  # type: ignore[arg-type]
        with pytest.raises(funsearch.ConfigError, match="count = 0"):
            search.ask(0)
        with pytest.raises(funsearch.ConfigError, match="count = '2'"):
            search.ask("2")  # type: ignore[arg-type]
    with pytest.raises(funsearch.ConfigError, match=r"is closed: open it again with Search\.resume"):
        search.ask()


def test_resume_takes_problem_and_settings_from_the_record(problem: Problem, url: str) -> None:
    options = {"name": "r", "seed": 5, "database__islands": 2}
    with funsearch.Search(problem, sampler=counting_model(), storage=url, **options) as search:  # type: ignore[arg-type]
        search.run(max_samples=8)
    with funsearch.Search.resume("r", storage=url, sampler=counting_model()) as again:
        assert (again.settings.seed, again.settings.database.islands) == (5, 2)
        assert again.problem.source == problem.source
        assert again.run(max_samples=12).samples == 12


def test_resume_without_the_python_sampler_is_refused(problem: Problem, url: str) -> None:
    with funsearch.Search(problem, sampler=counting_model(), storage=url, name="r") as search:
        search.run(max_samples=4)
    with (
        funsearch.Search.resume("r", storage=url) as again,
        pytest.raises(funsearch.ConfigError, match="has no sampler: pass sampler="),
    ):
        again.run(max_samples=8)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nothing", {}, "there is no run called nothing"),
        (3, {}, "name = 3: give the name of a recorded run"),
        ("r", {"sampler": 3}, "sampler = 3"),
        ("r", {"storage": 3}, "storage = 3"),
    ],
)
def test_resume_refuses_invalid_arguments(
    name: object, arguments: dict[str, object], message: str, problem: Problem, url: str
) -> None:
    funsearch.Search(problem, sampler=counting_model(), storage=url, name="r").close()
    with pytest.raises(funsearch.FunsearchError, match=message):
        funsearch.Search.resume(name, **{"storage": url, **arguments})  # type: ignore[arg-type]


def test_interrupted_search_is_recorded_as_interrupted(problem: Problem, url: str) -> None:
    def my_model(prompt: funsearch.Prompt, count: int) -> list[str]:
        if prompt.index == 2:
            raise KeyboardInterrupt
        return ["    return x\n"] * count

    with funsearch.Search(problem, sampler=my_model, storage=url, name="r") as search:
        with pytest.raises(KeyboardInterrupt):
            search.run(max_samples=100)
        assert search.progress().state == "interrupted"
        assert search.samples == 8


def test_everything_in_all_can_be_imported() -> None:
    assert all(getattr(funsearch, name) is not None for name in funsearch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Serch'"):
        funsearch.Serch  # noqa: B018


def test_settings_may_come_from_a_toml_file(problem: Problem, url: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("samples_per_prompt = 2\n[database]\nislands = 5\n")
    with funsearch.Search(problem, storage=url, settings=file, seed=3) as search:
        settings = search.settings
    assert (settings.samples_per_prompt, settings.database.islands, settings.seed) == (2, 5, 3)


def test_search_continues_after_a_failing_sampler_without_losing_a_prompt(problem: Problem, url: str) -> None:
    failures = [2, 5]

    def my_model(prompt: funsearch.Prompt, count: int) -> list[str]:
        if failures and prompt.index == failures[0]:
            failures.pop(0)
            raise funsearch.SamplerError("the endpoint is gone")
        return [f"    return x + {prompt.index}.{n}\n" for n in range(count)]

    with funsearch.Search(problem, sampler=my_model, storage=url, name="r", prompts_in_flight=2) as search:
        for _ in range(2):
            with pytest.raises(funsearch.SamplerError):
                search.run(max_samples=40)
        assert search.run(max_samples=40).samples == 40
    storage = open_storage(url, create=False)
    samples = [(sample.prompt.index, sample.index) for sample in storage.samples("r") if sample.prompt.index >= 0]
    assert samples == [(prompt, sample) for prompt in range(10) for sample in range(4)]
    storage.close()
