"""Any OpenAI-compatible endpoint: a vLLM server, Ollama, llama.cpp, a hosted service.

Servers differ in what they take: completions or chat, several choices to one request or one, this parameter or that.
The sampler starts with the most it could ask for, gives up what is refused, and remembers. Knows nothing about what
the texts are, nor of a key more than the name of the variable that holds it.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

import openai

from funsearch.core.completions import Completion, Request, Sampling
from funsearch.errors import SamplerError
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.text import COMPLETION_STOPS, chat_request

logger = logging.getLogger(__name__)

MAX_STOPS = 4
"""The hosted service takes no more stop strings than this."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
PASSING = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
"""Failures that may have gone by the next time. A time-out is one of the first kind."""
REFUSALS = (400, 404, 405, 422)
"""What a server answers to a route or a parameter that it does not know."""
CAN_DO_WITHOUT = ("temperature", "top_p", "max_tokens", "stop")
"""Parameters that some hosted models refuse. For chat, `max_tokens` has a second name."""


class NotAnAnswer(Exception):
    """Raised for an answer that is none; says what it was instead."""


@dataclass(frozen=True)
class Manner:
    """How to put a prompt to a server."""

    api: Literal["completions", "chat"]
    several: bool = True
    """Whether to ask for several choices at once."""
    without: frozenset[str] = frozenset()
    """Parameters it does not take."""


class OpenAISampler:
    """Completes prompts over HTTP, with one client for all threads."""

    def __init__(self, options: OpenAIOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        """Makes the client; nothing is sent yet.

        Raises:
            SamplerError: no model is named, or there is no key for the hosted service.
        """
        if not options.model:
            raise SamplerError("Name the endpoint's model, as in openai:qwen2.5-coder.")
        self._options = options
        self._sleep = sleep
        self._manner = Manner("chat" if options.api == "chat" else "completions")
        self._settled = options.api != "auto"
        key = os.environ.get(options.api_key_env)
        url = options.base_url or os.environ.get("OPENAI_BASE_URL")
        if not key and not url:
            raise SamplerError(
                f"The hosted service needs a key: set the variable {options.api_key_env}, or name an endpoint of your "
                "own with --base-url."
            )
        self._client = openai.OpenAI(
            # The client insists on one; an endpoint that wants none ignores it.
            api_key=key or "none",
            base_url=url,
            timeout=options.timeout,
            max_retries=0,
            # A proxy has nothing to do with an endpoint on this machine.
            http_client=openai.DefaultHttpxClient(trust_env=not _is_local(url)),
        )
        self._most_stops = None if url else MAX_STOPS
        self._url = str(self._client.base_url).rstrip("/")

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request. See `Sampler.complete`.

        Raises:
            SamplerError: the endpoint cannot be reached, refuses the request, or sends an unusable answer.
        """
        return [self._completions(request) for request in requests]

    def stats(self) -> None:
        """Returns None: endpoints do not report their queue."""

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _completions(self, request: Request) -> list[Completion]:
        if request.policy is not None:
            raise SamplerError(
                f"The sampler openai:{self._options.model} does not serve policies: use vllm or transformers."
            )
        completions: list[Completion] = []
        while len(completions) < request.count:
            completions += self._retried(request, request.count - len(completions))
        return completions[: request.count]

    def _retried(self, request: Request, wanted: int) -> list[Completion]:
        """Returns one or more completions, after as many retries with growing pauses as needed and allowed."""
        pause = FIRST_PAUSE_SECONDS
        tries = 0
        while True:
            tries += 1
            try:
                return self._choices(request, wanted)
            except PASSING as error:
                problem = self._explained(error)
                asked = _retry_after(error)
            except NotAnAnswer as error:
                problem = f"{self._url} does not answer as an OpenAI-compatible endpoint does ({error})"
                asked = 0.0
            if tries > self._options.retries:
                raise SamplerError(f"{problem} Asked {tries} times; check --base-url.")
            wait = max(asked, pause * random.uniform(0.5, 1.0))
            logger.warning("%s Asking again in %.1f s", problem, wait)
            self._sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _choices(self, request: Request, wanted: int) -> list[Completion]:
        """Returns one or more choices, in the first manner of asking that the server takes."""
        manner = self._manner
        refusal: openai.APIStatusError | None = None
        while True:
            try:
                choices = self._ask(request, wanted if manner.several else 1, manner)
            except PASSING:
                raise
            except openai.APIStatusError as error:
                # A route or a model that is not there says less than any other refusal.
                if refusal is None or error.status_code != 404:
                    refusal = error
                other = self._other_manner(manner, error)
                if other is None:
                    raise SamplerError(self._explained(refusal)) from None
                manner = other
            else:
                if len(choices) < wanted and manner.several:
                    # It ignores `n`.
                    manner = replace(manner, several=False)
                self._manner = manner
                self._settled = True
                return choices

    def _ask(self, request: Request, count: int, manner: Manner) -> list[Completion]:
        """Sends one request.

        Raises:
            NotAnAnswer: what came back is none.
            openai.APIError: the request failed or was refused.
        """
        model, sampling = self._options.model, request.sampling or self._own_sampling(manner)
        parameters: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.stop:
            parameters["stop"] = list(sampling.stop)[: self._most_stops]
        for name in manner.without:
            parameters.pop(name, None)
        if manner.api == "chat" and "max_tokens" in manner.without:
            parameters["max_completion_tokens"] = sampling.max_tokens
        if count > 1:
            parameters["n"] = count
        try:
            if manner.api == "chat":
                text = chat_request(request.prompt) if request.form == "best-shot" else request.prompt
                messages: Any = [{"role": "user", "content": text}]
                answer: Any = self._client.chat.completions.create(model=model, messages=messages, **parameters)
            else:
                answer = self._client.completions.create(model=model, prompt=request.prompt, **parameters)
        except (ValueError, openai.APIResponseValidationError) as error:
            raise NotAnAnswer(_line(error)) from error
        return _read(answer, model)

    def _own_sampling(self, manner: Manner) -> Sampling:
        options, stop = self._options, COMPLETION_STOPS if manner.api == "completions" else ()
        return Sampling(options.temperature, 0, options.top_p, options.max_tokens, stop)

    def _other_manner(self, manner: Manner, error: openai.APIStatusError) -> Manner | None:
        """Returns what to try after a refusal, or None when there is nothing left."""
        if error.status_code not in REFUSALS:
            return None
        if self._settled and manner.api != self._manner.api:
            return self._manner  # another thread has found it out meanwhile
        if error.param in CAN_DO_WITHOUT and error.param not in manner.without:
            return replace(manner, without=manner.without | {error.param})
        if error.param != "n" and manner.api == "completions" and not self._settled:
            return replace(manner, api="chat")
        if manner.several and error.status_code != 404:
            return replace(manner, several=False)
        return None

    def _explained(self, error: openai.APIError) -> str:
        """Returns what the user shall read of an error; the key is never in it."""
        options = self._options
        said = _line(error)
        if isinstance(error, openai.APITimeoutError):
            return f"{self._url} gave no answer within {options.timeout:g} s: set openai.timeout higher."
        if isinstance(error, openai.APIConnectionError):
            return f"Cannot reach {self._url}: is it running? ({error.__cause__ or said})"
        if not isinstance(error, openai.APIStatusError):
            return f"{self._url} fails: {said}."
        if error.status_code in (401, 403):
            state = "holds a key that is not accepted" if os.environ.get(options.api_key_env) else "is not set"
            return (
                f"{self._url} refuses access ({error.status_code}): the variable {options.api_key_env} {state}. Set "
                "it, or name another one with --api-key-env."
            )
        if error.status_code == 404:
            return f"{self._url} has no model {options.model}, or is no base URL: {said}.{self._models()}"
        return f"{self._url} answers {error.status_code} for the model {options.model}: {said}."

    def _models(self) -> str:
        """Returns the models that the server has as a hint, or what else may be wrong."""
        try:
            names = [model.id for model in self._client.models.list().data]
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return "" if self._url.endswith("/v1") else " Most base URLs end in /v1."
        return f" It has {', '.join(names[:10])}." if names else ""


def _read(answer: Any, model: str) -> list[Completion]:
    """Returns the choices of an answer. Tokens are told of all together, so each gets its share; the first has the
    prompt's, which is paid for once.

    Raises:
        NotAnAnswer: there are none.
    """
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise NotAnAnswer(f"no choices in {answer!r:.200}")
    usage = getattr(answer, "usage", None)
    tokens = getattr(usage, "completion_tokens", None) or 0
    asked = getattr(usage, "prompt_tokens", None) or 0
    read = []
    for number, choice in enumerate(choices):
        message = getattr(choice, "message", None)
        text = getattr(choice, "text", None) if message is None else getattr(message, "content", None)
        if not isinstance(text, str | None):
            raise NotAnAnswer(f"no text in {choice!r:.200}")
        reason = getattr(choice, "finish_reason", None) or "stop"
        share = tokens // len(choices) + (number < tokens % len(choices))
        name = getattr(answer, "model", None) or model
        read.append(Completion(text or "", name, reason, 0 if number else asked, share))
    return read


def _retry_after(error: openai.APIError) -> float:
    """Returns the seconds that a busy server asks to be left alone for, as far as we are ready to wait."""
    response = getattr(error, "response", None)
    try:
        seconds = float(response.headers["retry-after"]) if response is not None else 0.0
    except (KeyError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def _line(error: Exception) -> str:
    """Returns what was said, on one line."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error).split())[:300].rstrip(".") or type(error).__name__


def _is_local(url: str | None) -> bool:
    return urlsplit(url or "").hostname in ("localhost", "127.0.0.1", "::1")
