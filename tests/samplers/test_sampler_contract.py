"""The promises of `funsearch.core.ports.Sampler`, for every adapter that needs no model."""

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


@pytest.fixture(params=["scripted", "mixture", "completions", "chat", "single choices"])
def sampler(request: pytest.FixtureRequest) -> Iterator[Sampler]:
    if request.param == "scripted":
        yield scripted()
    elif request.param == "mixture":
        yield MixtureSampler([(scripted(), 1.0), (scripted(), 2.0)], seed=3)
    else:
        apis = {"completions": request.param != "chat", "many_choices": request.param != "single choices"}
        with FakeEndpoint(lambda _text, n: TEXTS[:n], **apis) as endpoint:
            openai_sampler = OpenAISampler(OpenAIOptions(model="fake", base_url=endpoint.url))
            yield openai_sampler
            openai_sampler.close()


def test_every_request_gets_its_completions_in_order(sampler: Sampler, request_of) -> None:
    answers = sampler.complete([request_of(4, count=3), request_of(5, count=2)])
    assert [len(completions) for completions in answers] == [3, 2]
    for completion in (completion for completions in answers for completion in completions):
        assert completion.text in TEXTS
        assert completion.model
        assert completion.finish_reason == "stop"


def test_there_are_no_more_completions_than_requested(sampler: Sampler, request_of) -> None:
    assert len(sampler.complete([request_of(count=2)])[0]) == 2
    assert len(sampler.complete([request_of(1, count=1)])[0]) == 1


def test_many_threads_may_request_completions_at_once(sampler: Sampler, request_of) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(sampler.complete, [[request_of(k, count=3)] for k in range(20)]))
    assert [[len(completions) for completions in answer] for answer in answers] == [[3]] * 20


def test_stats_are_none_without_a_queue(sampler: Sampler) -> None:
    assert sampler.stats() is None
