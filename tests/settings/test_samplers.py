"""Specifications of samplers: which are refused, and which a resumed run uses."""

import pytest

from funsearch.errors import ConfigError
from funsearch.settings.samplers import check_samplers, make_sampler, resumed, split_spec
from funsearch.settings.search import Settings

UNCHANGED: dict[str, object] = {"samplers": None, "openai__base_url": None, "evaluators": None}


@pytest.mark.parametrize(
    ("spec", "parts"),
    [("vllm", ("vllm", "")), ("vllm:policy:x@1", ("vllm", "policy:x@1")), ("openai:m:latest", ("openai", "m:latest"))],
)
def test_specification_is_split_at_the_first_colon(spec: str, parts: tuple[str, str]) -> None:
    assert split_spec(spec) == parts


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("magic", "Unknown sampler magic: write vllm"),
        ("python:f", "Unknown sampler python:f: write vllm"),
        ("openai", "needs a model, as in openai:"),
        ("openai:policy:x", "policies are served by vllm, as in vllm:policy:x"),
        ("scripted:absent.jsonl", "no file absent.jsonl"),
        ("transformers:./absent", r"no model folder \./absent"),
    ],
)
def test_unusable_specification_is_refused(spec: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_samplers(Settings.load(samplers=(spec,)))


def test_weights_have_to_fit_the_samplers() -> None:
    with pytest.raises(ConfigError, match=r"weights = \[1\.0\]: give one for each"):
        check_samplers(Settings.load(samplers=("openai:a", "openai:b"), weights=(1.0,)))


def test_sampler_that_was_a_python_object_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="python:f was a Python object"):
        make_sampler(Settings.load(samplers=("python:f",)))


def test_run_resumes_with_its_recorded_settings() -> None:
    recorded = Settings.load(
        None, ["train.tasks.heldout=50"], samplers=("openai:a", "openai:b"), weights=(1.0, 2.0), seed=3
    )
    assert resumed(recorded, "x", UNCHANGED) == recorded
    assert resumed(recorded, "x", {**UNCHANGED, "samplers": recorded.samplers}) == recorded


def test_run_resumes_with_other_samplers_and_evaluators() -> None:
    recorded = Settings.load(samplers=("openai:a", "openai:b"), weights=(1.0, 2.0), openai__temperature=0.5)
    overrides = {"samplers": ("openai:c",), "openai__base_url": "http://host/v1", "evaluators": "auto"}
    settings = resumed(recorded, "x", overrides)
    assert (settings.samplers, settings.weights, settings.evaluators) == (("openai:c",), (), "auto")
    assert (settings.openai.base_url, settings.openai.temperature) == ("http://host/v1", 0.5)


def test_run_with_a_python_sampler_resumes_only_with_another_one() -> None:
    recorded = Settings.load(samplers=("python:f",))
    with pytest.raises(ConfigError, match=r"The run x was started from Python .* python:f.*Search\.resume\('x'"):
        resumed(recorded, "x", UNCHANGED)
    assert resumed(recorded, "x", {**UNCHANGED, "samplers": ("vllm",)}).samplers == ("vllm",)


def test_sampler_of_a_run_that_trains_its_model_cannot_be_replaced() -> None:
    recorded = Settings.load(None, ["train.every=100"], samplers=("vllm:a",))
    with pytest.raises(ConfigError, match=r"The run x trains its own model \(vllm:a\)"):
        resumed(recorded, "x", {"samplers": ("vllm:b",)})
    assert resumed(recorded, "x", {"samplers": ("vllm:a",), "evaluators": 4}).evaluators == 4
