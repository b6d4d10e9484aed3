"""Samples from any OpenAI-compatible endpoint: a vLLM server, Ollama, llama.cpp, a hosted service.

Servers differ in what they accept: completions or chat, one or several choices for a request, some parameters but not
others. The sampler first uses everything the API offers, drops what the server refuses, and remembers. Knows nothing
about the meaning of the texts, and of a key only the name of the variable that holds it.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

import openai

from funsearch.core.completions import Completion, Request, Sampling
from funsearch.errors import SamplerError
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.text import COMPLETION_STOPS, chat_request

logger = logging.getLogger(__name__)

MAX_STOPS = 4
"""Number of stop strings that the hosted service accepts."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
TRANSIENT = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
"""Failures after which a retry may succeed. A time-out is a connection error."""
REFUSALS = (400, 404, 405, 422)
"""Statuses with which servers refuse a route or a parameter that they do not know."""
OPTIONAL_PARAMETERS = ("temperature", "top_p", "max_tokens", "stop")
"""Parameters that some hosted models refuse. For chat, `max_tokens` has a second name."""


class UnusableAnswer(Exception):
    """Raised when an answer holds no completions; the message shows what it holds instead."""


@dataclass(frozen=True)
class Dialect:
    """The part of the API that a server accepts."""

    api: Literal["completions", "chat"]
    many_choices: bool = True
    """Whether a request may ask for several choices."""
    refused: frozenset[str] = frozenset()
    """Parameters that the server does not accept."""


class OpenAISampler:
    """Completes prompts over HTTP, with one client for all threads."""

    def __init__(self, options: OpenAIOptions, sleep: Callable[[float], None] = time.sleep) -> None:
        """Creates the client; nothing is sent yet.

        Args:
            options: the endpoint, its model and how to sample from it.
            sleep: waits the given number of seconds before a retry.

        Raises:
            SamplerError: no model is named, or there is no key for the hosted service.
        """
        if not options.model:
            raise SamplerError("Name the endpoint's model, as in openai:qwen2.5-coder.")
        self._options = options
        self._sleep = sleep
        self._dialect = Dialect("chat" if options.api == "chat" else "completions")
        self._api_known = options.api != "auto"
        key = os.environ.get(options.api_key_env)
        url = options.base_url or os.environ.get("OPENAI_BASE_URL")
        if not key and not url:
            raise SamplerError(
                f"The hosted service needs a key: set the variable {options.api_key_env}, or name an endpoint of your "
                "own with --base-url."
            )
        self._client = openai.OpenAI(
            # The client requires a key; an endpoint that needs none ignores it.
            api_key=key or "none",
            base_url=url,
            timeout=options.timeout,
            max_retries=0,
            # Requests to an endpoint on this machine bypass any proxy.
            http_client=openai.DefaultHttpxClient(trust_env=not _is_local(url)),
        )
        self._max_stops = None if url else MAX_STOPS
        self._url = str(self._client.base_url).rstrip("/")

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request. See `Sampler.complete`.

        Raises:
            SamplerError: the endpoint cannot be reached, refuses the request, or sends an unusable answer.
        """
        return [self._completions(request) for request in requests]

    def stats(self) -> None:
        """Returns None: endpoints do not report their queues."""

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
        """Returns one or more completions; retries with growing pauses, as often as the options allow."""
        pause = FIRST_PAUSE_SECONDS
        attempts = 0
        while True:
            attempts += 1
            try:
                return self._choices(request, wanted)
            except TRANSIENT as error:
                problem = self._explained(error)
                requested_pause = _retry_after(error)
            except UnusableAnswer as error:
                problem = f"{self._url} does not answer as an OpenAI-compatible endpoint should ({error})."
                requested_pause = 0.0
            if attempts > self._options.retries:
                raise SamplerError(f"{problem} Gave up after {attempts} attempts: check --base-url.")
            retry_delay = max(requested_pause, pause * random.uniform(0.5, 1.0))
            logger.warning("%s Retrying in %.1f s.", problem, retry_delay)
            self._sleep(retry_delay)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _choices(self, request: Request, wanted: int) -> list[Completion]:
        """Returns one or more choices, in the first dialect that the server accepts."""
        dialect = self._dialect
        refusal: openai.APIStatusError | None = None
        while True:
            try:
                choices = self._ask(request, wanted if dialect.many_choices else 1, dialect)
            except TRANSIENT:
                raise
            except openai.APIStatusError as error:
                # Any other refusal is more informative than a missing route or model.
                if refusal is None or error.status_code != 404:
                    refusal = error
                alternative = self._alternative(dialect, error)
                if alternative is None:
                    raise SamplerError(self._explained(refusal)) from None
                dialect = alternative
            else:
                if len(choices) < wanted and dialect.many_choices:
                    # The server ignores `n`.
                    dialect = replace(dialect, many_choices=False)
                self._dialect = dialect
                self._api_known = True
                return choices

    def _ask(self, request: Request, count: int, dialect: Dialect) -> list[Completion]:
        """Sends one request.

        Raises:
            UnusableAnswer: the answer holds no completions.
            openai.APIError: the request failed or was refused.
        """
        model = self._options.model
        parameters = self._parameters(request.sampling or self._own_sampling(dialect), count, dialect)
        answer: object
        try:
            if dialect.api == "chat":
                text = chat_request(request.prompt) if request.form == "best-shot" else request.prompt
                answer = self._client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}], extra_body=parameters
                )
            else:
                answer = self._client.completions.create(model=model, prompt=request.prompt, extra_body=parameters)
        except (ValueError, openai.APIResponseValidationError) as error:
            raise UnusableAnswer(_message(error)) from error
        return _read(answer, model)

    def _parameters(self, sampling: Sampling, count: int, dialect: Dialect) -> dict[str, object]:
        """Returns the parameters of a request besides model and prompt, without those that the server refuses."""
        parameters: dict[str, object] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.stop:
            parameters["stop"] = list(sampling.stop)[: self._max_stops]
        for name in dialect.refused:
            parameters.pop(name, None)
        if dialect.api == "chat" and "max_tokens" in dialect.refused:
            parameters["max_completion_tokens"] = sampling.max_tokens
        if count > 1:
            parameters["n"] = count
        return parameters

    def _own_sampling(self, dialect: Dialect) -> Sampling:
        options, stop = self._options, COMPLETION_STOPS if dialect.api == "completions" else ()
        return Sampling(
            temperature=options.temperature, top_k=0, top_p=options.top_p, max_tokens=options.max_tokens, stop=stop
        )

    def _alternative(self, dialect: Dialect, error: openai.APIStatusError) -> Dialect | None:
        """Returns the dialect to try after a refusal; None when all have been tried."""
        if error.status_code not in REFUSALS:
            return None
        if self._api_known and dialect.api != self._dialect.api:
            return self._dialect  # another thread has found the right API in the meantime
        if error.param in OPTIONAL_PARAMETERS and error.param not in dialect.refused:
            return replace(dialect, refused=dialect.refused | {error.param})
        if error.param != "n" and dialect.api == "completions" and not self._api_known:
            return replace(dialect, api="chat")
        if dialect.many_choices and error.status_code != 404:
            return replace(dialect, many_choices=False)
        return None

    def _explained(self, error: openai.APIError) -> str:
        """Returns an error as a message to the user, which never contains the key."""
        options = self._options
        message = _message(error)
        if isinstance(error, openai.APITimeoutError):
            return f"{self._url} did not answer within {options.timeout:g} s: set openai.timeout higher."
        if isinstance(error, openai.APIConnectionError):
            return f"Cannot reach {self._url}: is it running? ({error.__cause__ or message})"
        if not isinstance(error, openai.APIStatusError):
            return f"{self._url} failed: {message}."
        if error.status_code in (401, 403):
            state = "holds a key that is not accepted" if os.environ.get(options.api_key_env) else "is not set"
            return (
                f"{self._url} denied access ({error.status_code}): the variable {options.api_key_env} {state}. Set "
                "it, or name another variable with --api-key-env."
            )
        if error.status_code == 404:
            return f"{self._url} has no model {options.model}, or is not a base URL: {message}.{self._hint()}"
        return f"{self._url} answered {error.status_code} for the model {options.model}: {message}."

    def _hint(self) -> str:
        """Returns the models that the server has, or else a likely mistake in the base URL."""
        try:
            names = [model.id for model in self._client.models.list().data]
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return "" if self._url.endswith("/v1") else " Most base URLs end in /v1."
        return f" Available models: {', '.join(names[:10])}." if names else ""


def _read(answer: object, model: str) -> list[Completion]:
    """Returns the choices of an answer, which the client does not validate.

    Servers report the tokens of all choices together, so each choice is given an equal share. The tokens of the prompt
    are charged once and go to the first choice.

    Raises:
        UnusableAnswer: there are no choices, or one has no text.
    """
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise UnusableAnswer(f"no choices in {answer!r:.200}")
    usage = getattr(answer, "usage", None)
    tokens = getattr(usage, "completion_tokens", None) or 0
    prompt_tokens = getattr(usage, "prompt_tokens", None) or 0
    completions = []
    for number, choice in enumerate(choices):
        message = getattr(choice, "message", None)
        text = getattr(choice, "text", None) if message is None else getattr(message, "content", None)
        if not isinstance(text, str | None):
            raise UnusableAnswer(f"no text in {choice!r:.200}")
        reason = getattr(choice, "finish_reason", None) or "stop"
        share = tokens // len(choices) + (number < tokens % len(choices))
        name = getattr(answer, "model", None) or model
        completions.append(
            Completion(
                text=text or "",
                model=name,
                finish_reason=reason,
                prompt_tokens=0 if number else prompt_tokens,
                tokens=share,
            )
        )
    return completions


def _retry_after(error: openai.APIError) -> float:
    """Returns the pause in seconds that a busy server requests, at most `LONGEST_PAUSE_SECONDS`."""
    response = getattr(error, "response", None)
    try:
        seconds = float(response.headers["retry-after"]) if response is not None else 0.0
    except (KeyError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)


def _message(error: Exception) -> str:
    """Returns the server's message, or else the error's, on one line."""
    body = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(message or error).split())[:300].rstrip(".") or type(error).__name__


def _is_local(url: str | None) -> bool:
    return urlsplit(url or "").hostname in ("localhost", "127.0.0.1", "::1")
