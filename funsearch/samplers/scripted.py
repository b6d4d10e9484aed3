"""A sampler of recorded answers from a list or a file, for tests, scripts and demonstrations.

Prompt number k gets answers k*n to k*n + n - 1. The answers depend on the prompt's number alone, so a resumed run
continues where it stopped.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from funsearch.core.completions import Completion, Request
from funsearch.errors import SamplerError, SamplerExhausted


class ScriptedSampler:
    """Returns answers from a list."""

    def __init__(self, texts: Sequence[str], samples_per_prompt: int = 4, model: str = "scripted") -> None:
        self._texts = texts
        self._per_prompt = samples_per_prompt
        self._model = model

    @classmethod
    def from_file(cls, path: Path, samples_per_prompt: int = 4) -> Self:
        """Returns a sampler of the answers in a JSON Lines file, one {"text": "..."} per line.

        Raises:
            SamplerError: the file cannot be read, or a line is not such an object; the message names file and line.
        """
        try:
            # Not splitlines, which also splits at separators that are allowed inside a JSON string.
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SamplerError(f"Cannot read the answers in {path}: {error}.") from None
        return cls([_text(line, path, n) for n, line in enumerate(lines, 1) if line.strip()], samples_per_prompt)

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the answers recorded for each prompt, at most `samples_per_prompt`.

        Raises:
            SamplerExhausted: no answer is recorded for a prompt.
        """
        return [self._recorded(request) for request in requests]

    def stats(self) -> None:
        """Returns None: there is no queue."""

    def close(self) -> None:
        """Does nothing."""

    def _recorded(self, request: Request) -> list[Completion]:
        start = request.index * self._per_prompt
        texts = self._texts[start : start + min(request.count, self._per_prompt)]
        if not texts:
            raise SamplerExhausted(f"All {len(self._texts)} recorded answers have been used.")
        return [Completion(text=text, model=self._model) for text in texts]


def _text(line: str, path: Path, number: int) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise SamplerError(f'{path}:{number}: write one {{"text": "..."}} per line, not {line[:60]!r}.')
    return text
