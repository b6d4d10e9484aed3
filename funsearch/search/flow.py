"""Flow control of a search: how many prompts are with the samplers, and how many samples they may still bring.

With too few prompts the model idles; with too many, the prompts are outdated when they are answered. Knows nothing
about the content of prompts and samples.
"""

from funsearch.core.records import Prompt
from funsearch.search.workers import Workers
from funsearch.settings.search import Settings

EVALUATION_BACKLOG = 4
"""No prompts are drawn while there are more unevaluated samples than this many times the prompts in flight bring."""


class Flow:
    """Tracks the prompts in flight and how many samples each of them may bring."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.in_flight()
        self._promised: dict[int, tuple[Prompt, int]] = {}

    @property
    def promised(self) -> int:
        """Number of samples that prompts in flight may still bring."""
        return sum(count for _, count in self._promised.values())

    def promise(self, prompt: Prompt, count: int) -> None:
        """Counts the samples that a prompt may bring until it is settled."""
        self._promised[prompt.index] = prompt, count

    def promised_to(self, prompt: Prompt) -> int:
        """Returns how many samples the prompt may bring."""
        return self._promised[prompt.index][1]

    def settle(self, prompt: Prompt) -> None:
        """Removes a prompt that was answered."""
        self._promised.pop(prompt.index, None)

    def abandon(self) -> list[Prompt]:
        """Removes all prompts in flight and returns them, in the order in which they were drawn."""
        prompts = [prompt for prompt, _ in self._promised.values()]
        self._promised.clear()
        return prompts

    def room(self, workers: Workers, drawn: int) -> int:
        """Returns how many more prompts to draw now.

        Args:
            workers: that sample and evaluate.
            drawn: number of drawn prompts that are not with the samplers yet.
        """
        backlog = EVALUATION_BACKLOG * self._limit * self._settings.samples_per_prompt
        if workers.evaluating > max(backlog, workers.capacity):
            return 0
        return self._limit - workers.sampling - drawn

    def adapt(self, workers: Workers) -> None:
        """Adapts the number of prompts in flight to the number of samples waiting in the models' queues."""
        settings, models = self._settings, max(1, workers.samplers)
        least, most = models * settings.in_flight(), models * settings.most_in_flight()
        limit = min(max(self._limit, least), most)
        queued, target = workers.queued(), models * settings.queue_target()
        if queued is not None and queued < target:
            limit = min(limit + -(-(target - queued) // settings.samples_per_prompt), most)
        elif queued is not None and queued > 2 * target:
            limit = max(limit - 1, least)
        self._limit = limit
