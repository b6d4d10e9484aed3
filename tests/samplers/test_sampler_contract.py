"""The promises of `funsearch.core.ports.Sampler`, held by every adapter that needs no model."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from funsearch.core.ports import Sampler
from funsearch.samplers.mixture import MixtureSampler
from funsearch.samplers.openai import OpenAISampler
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.testing.endpoint import FakeEndpoint

PER_PROMPT = 3
TEXTS = [f"    return {n}\n" for n in range(60)]


def scripted() -> ScriptedSampler:
    return ScriptedSampler(TEXTS, samples_per_prompt=PER_PROMPT)


@pytest.fixture(params=["scripted", "mixture", "completions", "chat", "one choice a request"])
def sampler(request: pytest.FixtureRequest) -> Iterator[Sampler]:
    if request.param == "scripted":
        yield scripted()
    elif request.param == "mixture":
        yield MixtureSampler([(scripted(), 1.0), (scripted(), 2.0)], seed=3)
    else:
        several = request.param != "one choice a request"
        with FakeEndpoint(lambda _text, n: TEXTS[:n], completions=request.param != "chat", several=several) as endpoint:
            made = OpenAISampler(OpenAIOptions(model="fake", base_url=endpoint.url, samples_per_prompt=PER_PROMPT))
            yield made
            made.close()


def test_samples_are_numbered_and_name_prompt_and_model(sampler: Sampler, prompt) -> None:
    asked = prompt(4)
    samples = sampler.sample(asked)
    assert [sample.index for sample in samples] == [0, 1, 2]
    assert all(sample.prompt is asked for sample in samples)
    assert all(sample.text in TEXTS and sample.model and sample.finish_reason == "stop" for sample in samples)


def test_no_more_samples_than_asked_for(sampler: Sampler, prompt) -> None:
    assert [sample.index for sample in sampler.sample(prompt(), at_most=2)] == [0, 1]
    assert len(sampler.sample(prompt(1), at_most=100)) == PER_PROMPT


def test_many_threads_ask_at_once(sampler: Sampler, prompt) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(sampler.sample, [prompt(k) for k in range(20)]))
    assert [[sample.prompt.index for sample in answer] for answer in answers] == [[k] * PER_PROMPT for k in range(20)]
