import socket
from collections.abc import Callable, Iterator

import pytest

from funsearch.errors import SamplerError
from funsearch.samplers.openai import OpenAISampler
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.text import chat_request
from funsearch.testing.endpoint import FakeEndpoint

Make = Callable[..., OpenAISampler]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def make(pauses: list[float]) -> Iterator[Make]:
    samplers: list[OpenAISampler] = []

    def make_sampler(url: str | None, **options: object) -> OpenAISampler:
        sampler = OpenAISampler(OpenAIOptions(**{"model": "fake", "base_url": url, **options}), sleep=pauses.append)
        samplers.append(sampler)
        return sampler

    yield make_sampler
    for sampler in samplers:
        sampler.close()


def echo(prompt: str, n: int) -> list[str]:
    return [f"{prompt}{k}" for k in range(n)]


def test_one_request_asks_for_all_samples_of_a_prompt(make: Make, request_of) -> None:
    with FakeEndpoint(echo) as endpoint:
        samples = make(endpoint.url).complete([request_of(text="p")])[0]
    assert [sample.text for sample in samples] == ["p0", "p1", "p2", "p3"]
    assert endpoint.requests == ["/v1/completions"]


def test_tokens_of_a_request_are_divided_among_its_samples(make: Make, request_of) -> None:
    with FakeEndpoint(lambda _prompt, n: ["x" * 28] + ["x" * 8] * (n - 1)) as endpoint:
        samples = make(endpoint.url).complete([request_of(text="p" * 40)])[0]
    assert [sample.tokens for sample in samples] == [4, 3, 3, 3]
    assert [sample.prompt_tokens for sample in samples] == [10, 0, 0, 0]


def test_missing_completions_api_falls_back_to_chat_once(make: Make, request_of) -> None:
    with FakeEndpoint(echo, completions=False) as endpoint:
        sampler = make(endpoint.url)
        assert sampler.complete([request_of(text="p")])[0][0].text == f"{chat_request('p')}0"
        sampler.complete([request_of(1)])[0]
    assert endpoint.requests == ["/v1/completions", "/v1/chat/completions", "/v1/chat/completions"]


def test_chat_api_can_be_chosen(make: Make, request_of) -> None:
    with FakeEndpoint(echo) as endpoint:
        make(endpoint.url, api="chat").complete([request_of()])[0]
    assert endpoint.requests == ["/v1/chat/completions"]


def test_completions_api_can_be_required(make: Make, request_of) -> None:
    with FakeEndpoint(echo, completions=False) as endpoint, pytest.raises(SamplerError, match="no completions API"):
        make(endpoint.url, api="completions").complete([request_of()])[0]
    assert "/v1/chat/completions" not in endpoint.requests


def test_samples_are_requested_one_by_one_if_n_is_ignored(make: Make, request_of) -> None:
    with FakeEndpoint(echo, many_choices=False) as endpoint:
        assert len(make(endpoint.url).complete([request_of()])[0]) == 4
    assert len(endpoint.requests) == 4


def test_samples_are_requested_one_by_one_if_n_is_refused(make: Make, request_of) -> None:
    with FakeEndpoint(echo, refuses=["n"]) as endpoint:
        sampler = make(endpoint.url)
        assert len(sampler.complete([request_of()])[0]) == 4
        assert len(endpoint.requests) == 5
        sampler.complete([request_of(1)])[0]
        assert len(endpoint.requests) == 9


def test_refused_parameters_are_left_out(make: Make, request_of) -> None:
    with FakeEndpoint(echo, refuses=["temperature", "max_tokens", "stop"]) as endpoint:
        sampler = make(endpoint.url)
        sampler.complete([request_of()])[0]
        assert endpoint.requests == ["/v1/completions"] * 4
        sampler.complete([request_of(1)])[0]
        assert len(endpoint.requests) == 5


@pytest.mark.parametrize("failure", [429, 500, 503, 0, "<html>busy</html>", '{"choices": []}', "{}", "[]"])
def test_transient_failures_are_retried(failure: int | str, make: Make, pauses: list[float], request_of) -> None:
    with FakeEndpoint(echo) as endpoint:
        endpoint.failures.extend([failure] * 3)
        assert len(make(endpoint.url).complete([request_of()])[0]) == 4
    assert len(pauses) == 3
    assert all(0 < pause <= 2.0 for pause in pauses)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (429, "answered 429 for the model fake"),
        (500, "answered 500 for the model fake"),
        (0, "Cannot reach http://127"),
        ("<html>busy</html>", "does not answer as an OpenAI-compatible endpoint"),
        ('{"choices": []}', "no choices in"),
        ('{"choices": [{"index": 0, "text": {"a": 1}}]}', "no text in"),
    ],
)
def test_persistent_failure_is_raised_with_its_reason_after_the_retries(
    failure: int | str, message: str, make: Make, pauses: list[float], request_of
) -> None:
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match=message) as caught:
        endpoint.failures.extend([failure] * 50)
        make(endpoint.url, retries=2).complete([request_of()])[0]
    assert "Gave up after 3 attempts" in str(caught.value)
    assert len(pauses) == 2


def test_unreachable_endpoint_is_named(make: Make, request_of) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(SamplerError, match=rf"Cannot reach {url}: is it running\?"):
        make(url, retries=1).complete([request_of()])[0]


def test_time_out_is_reported(make: Make, request_of) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SamplerError, match=r"within 0\.05 s"):
        make(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", retries=0, timeout=0.05).complete([request_of()])[0]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key_is_reported_by_its_variable_and_not_retried(
    status: int, make: Make, pauses: list[float], request_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key")
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match="MY_KEY holds a key") as caught:
        endpoint.failures.append(status)
        make(endpoint.url, api_key_env="MY_KEY").complete([request_of()])[0]
    assert endpoint.keys == ["Bearer secret-key"]
    assert "secret" not in str(caught.value)
    assert pauses == []


def test_missing_key_is_reported_by_its_variable(make: Make, request_of) -> None:
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match="OPENAI_API_KEY is not set"):
        endpoint.failures.append(401)
        make(endpoint.url).complete([request_of()])[0]


def test_hosted_service_without_a_key_is_refused_before_anything_is_sent(make: Make) -> None:
    with pytest.raises(SamplerError, match="set the variable OPENAI_API_KEY"):
        make(None)


def test_unknown_model_is_reported_with_the_available_models(make: Make, request_of) -> None:
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match=r"has no model other.*models: fake\."):
        endpoint.failures.extend([404, 404])
        make(endpoint.url, model="other").complete([request_of()])[0]


def test_other_refusals_are_reported_with_the_message_of_the_server(
    make: Make, pauses: list[float], request_of
) -> None:
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match=r"answered 400 .* scripted failure 400"):
        endpoint.failures.extend([400] * 50)
        make(endpoint.url).complete([request_of()])[0]
    assert pauses == []


def test_refusal_is_reported_rather_than_a_missing_route(make: Make, request_of) -> None:
    with FakeEndpoint(echo) as endpoint, pytest.raises(SamplerError, match="scripted failure 422"):
        endpoint.failures.extend([404, 422, 404, 404])
        make(endpoint.url).complete([request_of()])[0]
