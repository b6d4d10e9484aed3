"""Any OpenAI-compatible endpoint: a vLLM server, Ollama, a hosted service. Completions or chat, found out by itself.

Knows nothing about keys but the name of the variable that holds one.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import openai
from openai import OpenAI

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.text import COMPLETION_STOPS, chat_request

logger = logging.getLogger(__name__)

MAX_STOPS = 4
"""Hosted services take no more stop strings than this."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
PASSING = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
"""Failures that may have gone by the next time. A time-out is one of the first kind."""


class OpenAISampler:
    """Completes prompts at an endpoint."""

    def __init__(self, options: OpenAIOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        if not options.model:
            raise SamplerError("Name the endpoint's model, as in openai:qwen2.5-coder.")
        self._options = options
        self._sleep = sleep
        self._api = options.api
        self._several = True
        self._lock = threading.Lock()
        key = os.environ.get(options.api_key_env)
        if not key and options.base_url is None:
            raise SamplerError(f"The hosted service needs a key: set the variable {options.api_key_env}.")
        self._client = OpenAI(api_key=key or "none", base_url=options.base_url, timeout=options.timeout, max_retries=0)

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt; may be called from many threads at once.

        Raises:
            SamplerError: the endpoint cannot be reached, refuses, or answers what cannot be used.
        """
        wanted = self._options.samples_per_prompt if at_most is None else min(at_most, self._options.samples_per_prompt)
        samples: list[Sample] = []
        while len(samples) < wanted:
            left = wanted - len(samples)
            answer = self._patiently(prompt, left if self._several else 1)
            made = self._samples(prompt, answer, len(samples))[:left]
            if len(made) < left and self._several:
                logger.info("the endpoint gives one answer a request")
                self._several = False
            samples += made
        return samples

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _patiently(self, prompt: Prompt, count: int) -> Any:
        """Asks until there is an answer, with growing pauses, up to the number of retries."""
        pause = FIRST_PAUSE_SECONDS
        for left in range(self._options.retries, -1, -1):
            try:
                return self._ask(prompt, count)
            except PASSING as error:
                if not left:
                    raise SamplerError(self._gave_up(error)) from None
                logger.warning("%s; asking again in %.1f s", self._gave_up(error), pause)
                self._sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    def _ask(self, prompt: Prompt, count: int) -> Any:
        """Asks once; learns from a refusal which API the model has, and whether it takes `n`."""
        try:
            if self._api == "chat":
                return self._chat(prompt.text, count)
            try:
                return self._complete(prompt.text, count)
            except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError):
                if self._api == "completions":
                    raise
                answer = self._chat(prompt.text, count)
                with self._lock:
                    self._api = "chat"
                return answer
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            name = self._options.api_key_env
            state = "its key" if os.environ.get(name) else "a request without a key"
            raise SamplerError(f"{self._where()} refuses {state}: check the variable {name}.") from None
        except openai.NotFoundError as error:
            raise SamplerError(f"{self._where()} has no model {self._options.model}: {_line(error)}") from None
        except PASSING:
            raise
        except openai.APIStatusError as error:
            if count > 1 and "n" in _line(error).split():
                with self._lock:
                    self._several = False
                return self._ask(prompt, 1)
            raise SamplerError(f"{self._where()} refuses the request: {_line(error)}") from None
        except (openai.OpenAIError, ValueError) as error:
            raise SamplerError(f"{self._where()} answers what is no completion: {_line(error)}") from None

    def _complete(self, text: str, count: int) -> Any:
        options = self._options
        stops = list(COMPLETION_STOPS[:MAX_STOPS] if options.base_url is None else COMPLETION_STOPS)
        return self._client.completions.create(
            model=options.model,
            prompt=text,
            n=count,
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            stop=stops,
        )

    def _chat(self, text: str, count: int) -> Any:
        options = self._options
        return self._client.chat.completions.create(
            model=options.model,
            messages=[{"role": "user", "content": chat_request(text)}],
            n=count,
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
        )

    def _samples(self, prompt: Prompt, answer: Any, first: int) -> list[Sample]:
        """Returns the samples in an answer; tokens are shared out evenly where only their sum is told."""
        choices = getattr(answer, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise SamplerError(f"{self._where()} answers without any choice: {str(answer)[:200]!r}")
        usage = getattr(answer, "usage", None)
        tokens = (getattr(usage, "completion_tokens", 0) or 0) // len(choices)
        samples = []
        for number, choice in enumerate(choices, first):
            message = getattr(choice, "message", None)
            text = message.content if message is not None else getattr(choice, "text", None)
            if text is not None and not isinstance(text, str):
                raise SamplerError(f"{self._where()} answers a choice without text: {str(choice)[:200]!r}")
            samples.append(
                Sample(
                    prompt,
                    number,
                    text or "",
                    self._options.model,
                    getattr(choice, "finish_reason", None) or "stop",
                    getattr(usage, "prompt_tokens", 0) or 0,
                    tokens,
                )
            )
        return samples

    def _where(self) -> str:
        return f"The endpoint {self._client.base_url}"

    def _gave_up(self, error: openai.APIError) -> str:
        if isinstance(error, openai.RateLimitError):
            return f"{self._where()} is too busy: {_line(error)}"
        if isinstance(error, openai.APIConnectionError):
            return f"Cannot reach {self._client.base_url}: {_line(error)} Is it running?"
        return f"{self._where()} fails: {_line(error)}"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
