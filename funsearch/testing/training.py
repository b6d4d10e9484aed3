"""A generator and a trainer that cost nothing, for tests of what is built on them. Know nothing about models.

The better a policy is, the more of its answers are what `right` says.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, Request
from funsearch.rest_em.records import Answer, Phase, Policy, Task


class ScriptedGenerator:
    """Answers rightly with the chance that its policy's round has; the same request gets the same answers."""

    def __init__(self, right: Callable[[Task], str], chances: Sequence[float]) -> None:
        self._right = right
        self._chances = chances

    def generate(self, requests: Sequence[Request], policy: Policy) -> list[Answer]:
        chance = self._chances[policy.round]
        answers = []
        for request in requests:
            luck = np.random.default_rng(request.seed).random(request.count)
            for index, one in enumerate(luck):
                greedy = request.phase is Phase.GREEDY
                wrong = f"{self._right(request.task)}{index if greedy else int(one * 1e6)}"
                text = self._right(request.task) if one < chance else wrong
                place = (request.round, request.phase, request.task.index, index)
                answers.append(Answer(*place, policy.name, text, "stop", "\n", 4, len(text)))
        return answers

    def close(self) -> None:
        """Does nothing."""


class RecordingTrainer:
    """Writes down what it was given instead of training, beside the files of an adapter that hold nothing."""

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
