from collections import Counter

import pytest

from funsearch.core.completions import SamplerStats
from funsearch.errors import ConfigError
from funsearch.samplers.mixture import MixtureSampler
from funsearch.samplers.scripted import ScriptedSampler


def named(name: str) -> ScriptedSampler:
    return ScriptedSampler(["x"] * 2000, samples_per_prompt=1, model=name)


def models(mixture: MixtureSampler, requests) -> list[str]:
    return [mixture.complete([request])[0][0].model for request in requests]


def test_choice_depends_only_on_the_seed_and_the_index_of_the_prompt(request_of) -> None:
    requests = [request_of(k) for k in range(50)]
    mixture = MixtureSampler([(named("a"), 1.0), (named("b"), 1.0)], seed=7)
    choices = models(mixture, requests)
    assert models(mixture, requests[::-1]) == choices[::-1]
    assert models(MixtureSampler([(named("a"), 1.0), (named("b"), 1.0)], seed=8), requests) != choices


def test_shares_follow_the_weights(request_of) -> None:
    mixture = MixtureSampler([(named("a"), 1.0), (named("b"), 3.0)])
    counts = Counter(models(mixture, [request_of(k) for k in range(2000)]))
    assert counts["a"] + counts["b"] == 2000
    assert 400 < counts["a"] < 600


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, -1.0], [float("nan")]])
def test_invalid_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weights"):
        MixtureSampler([(named("a"), weight) for weight in weights])


def test_all_samplers_are_closed_even_if_closing_one_fails() -> None:
    closed = []

    class Closing(ScriptedSampler):
        def close(self) -> None:
            closed.append(self)
            if len(closed) == 1:
                raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        MixtureSampler([(Closing([]), 1.0), (Closing([]), 1.0)]).close()
    assert len(closed) == 2


def test_stats_are_the_sum_over_the_samplers_with_a_queue() -> None:
    class Queued(ScriptedSampler):
        def stats(self) -> SamplerStats:
            return SamplerStats(tokens=10, running=2, waiting=3)

    assert MixtureSampler([(Queued([]), 1.0), (named("a"), 1.0), (Queued([]), 1.0)]).stats() == SamplerStats(
        0, 20, 4, 6
    )
    assert MixtureSampler([(named("a"), 1.0)]).stats() is None
