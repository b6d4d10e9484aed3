"""A mixture of samplers: each prompt goes to one of them, drawn by weight."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields

import numpy as np

from funsearch.core.completions import Completion, Request, SamplerStats
from funsearch.core.ports import Sampler
from funsearch.errors import ConfigError

MIXTURE_DRAWS = 2
"""Keeps these draws independent of those of the programs database, which use the same seed."""


class MixtureSampler:
    """Draws a sampler for each prompt from the prompt's index; the same seed gives the same choices."""

    def __init__(self, samplers: Sequence[tuple[Sampler, float]], seed: int = 0) -> None:
        """Mixes samplers.

        Args:
            samplers: with their weights, which need not sum to 1.
            seed: of the draws.

        Raises:
            ConfigError: there is no sampler, or a weight is not positive.
        """
        if not samplers or any(not weight > 0 for _, weight in samplers):
            weights = [weight for _, weight in samplers]
            raise ConfigError(f"weights = {weights}: give one or more positive numbers.")
        self._samplers = [sampler for sampler, _ in samplers]
        self._shares = np.cumsum([weight for _, weight in samplers])
        self._seed = seed

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request, from the sampler drawn for its index."""
        return [self._drawn(request).complete([request])[0] for request in requests]

    def stats(self) -> SamplerStats | None:
        """Returns the sum over the samplers that keep a queue; None if no sampler does."""
        reports = [stats for sampler in self._samplers if (stats := sampler.stats()) is not None]
        if not reports:
            return None
        return SamplerStats(*(sum(getattr(stats, field.name) for stats in reports) for field in fields(SamplerStats)))

    def close(self) -> None:
        """Closes all samplers, even if closing one fails."""
        with ExitStack() as stack:
            for sampler in self._samplers:
                stack.callback(sampler.close)

    def _drawn(self, request: Request) -> Sampler:
        point = np.random.default_rng((self._seed, MIXTURE_DRAWS, request.index)).random() * self._shares[-1]
        return self._samplers[int(np.searchsorted(self._shares, point, side="right"))]
