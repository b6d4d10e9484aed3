"""A sampler of answers that are known beforehand: from a list or a file. Used by tests, scripts and demonstrations.

Prompt number k gets answers k*n to k*n + n - 1, so what comes back depends on nothing but the prompt's number, and a
resumed run goes on where it stopped.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError, SamplerExhausted


class ScriptedSampler:
    """Answers from a list."""

    def __init__(self, texts: Sequence[str], samples_per_prompt: int = 4, model: str = "scripted") -> None:
        self._texts = texts
        self._per_prompt = samples_per_prompt
        self._model = model

    @classmethod
    def from_file(cls, path: Path, samples_per_prompt: int = 4) -> Self:
        """Returns a sampler of the answers in a JSON Lines file, one {"text": "..."} a line.

        Raises:
            SamplerError: the file cannot be read, or a line is no such object; the message names file and line.
        """
        try:
            # Not splitlines: it also cuts at separators that may stand inside a JSON string.
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SamplerError(f"Cannot read the answers in {path}: {error}.") from None
        return cls([_text(line, path, n) for n, line in enumerate(lines, 1) if line.strip()], samples_per_prompt)

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the prompt's answers.

        Raises:
            SamplerExhausted: there is none for it.
        """
        start = prompt.index * self._per_prompt
        count = self._per_prompt if at_most is None else min(at_most, self._per_prompt)
        texts = self._texts[start : start + count]
        if not texts:
            raise SamplerExhausted(f"The {len(self._texts)} recorded answers are used up.")
        return [Sample(prompt, n, text, self._model, "stop") for n, text in enumerate(texts)]

    def close(self) -> None:
        """Does nothing."""


def _text(line: str, path: Path, number: int) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise SamplerError(f'{path}:{number}: write one {{"text": "..."}} a line, not {line[:60]!r}.')
    return text
