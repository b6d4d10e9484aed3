"""A sampler of policies and a trainer that cost nothing, for tests of what is built on them. Know nothing about models.

The better a policy, the more of its answers are right.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from funsearch.core.completions import Completion, Request
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress


class ScriptedPolicies:
    """A sampler whose answers are right with the probability of the policy's round; equal requests, equal answers."""

    def __init__(self, right: Callable[[str], str], chances: Sequence[float]) -> None:
        """Takes the right answer to each prompt, and the probability of it by round."""
        self._right = right
        self._chances = chances

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        return [self._completions(request) for request in requests]

    def stats(self) -> None:
        """Returns None: there is no queue."""

    def close(self) -> None:
        """Does nothing."""

    def _completions(self, request: Request) -> list[Completion]:
        assert request.policy is not None
        assert request.sampling is not None
        right, chance = self._right(request.prompt), self._chances[request.policy.round]
        luck = np.random.default_rng(request.seed).random(request.count)
        greedy = request.sampling.temperature == 0
        texts = [
            right if draw < chance else f"{right}{index if greedy else int(draw * 1e6)}"
            for index, draw in enumerate(luck)
        ]
        return [
            Completion(
                text=text,
                model=request.policy.name,
                finish_reason="stop",
                prompt_tokens=4,
                tokens=len(text),
                ending="\n",
            )
            for text in texts
        ]


class RecordingTrainer:
    """Records its examples instead of training, beside the files of an adapter that hold nothing."""

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        folder = Path(job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        watch(ImproveProgress(1, 1, 0.0))
        (folder / "examples.json").write_text(json.dumps([[one.prompt, one.completion] for one in examples]))
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": job.base}))
        (folder / "adapter_model.safetensors").write_bytes(b"none")
        return Improved("lora", {"examples": float(len(examples))})
