"""Several samplers as one: each prompt goes to one of them, drawn by weight."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from funsearch.core.ports import Sampler
from funsearch.core.records import Prompt, Sample
from funsearch.errors import ConfigError

MIXTURE_DRAWS = 2
"""Keeps these draws apart from those of the programs database."""


class MixtureSampler:
    """Draws for each prompt, by its number, which sampler answers it; the same seed gives the same choices."""

    def __init__(self, samplers: Sequence[tuple[Sampler, float]], seed: int = 0) -> None:
        if not samplers or any(not weight > 0 for _, weight in samplers):
            weights = [weight for _, weight in samplers]
            raise ConfigError(f"weights = {weights}: give one or more, all positive.")
        self._samplers = [sampler for sampler, _ in samplers]
        self._shares = np.cumsum([weight for _, weight in samplers])
        self._seed = seed

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the samples of the sampler whose turn it is."""
        point = np.random.default_rng((self._seed, MIXTURE_DRAWS, prompt.index)).random() * self._shares[-1]
        return self._samplers[int(np.searchsorted(self._shares, point, side="right"))].sample(prompt, at_most)

    def close(self) -> None:
        """Closes all of them, also when one cannot be."""
        with ExitStack() as stack:
            for sampler in self._samplers:
                stack.callback(sampler.close)
