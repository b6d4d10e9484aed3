"""Any OpenAI-compatible endpoint: a vLLM server, Ollama, llama.cpp, a hosted service.

Servers differ in what they take: completions or chat, several choices to one request or one, this parameter or that.
The sampler starts with the most it could ask for, gives up what is refused, and remembers. Knows nothing about what
the texts are.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from json import JSONDecodeError
from typing import Any, Literal
from urllib.parse import urlsplit

import openai

from funsearch.core.records import Prompt, Sample
from funsearch.errors import SamplerError
from funsearch.samplers.options import OpenAIOptions
from funsearch.samplers.text import COMPLETION_STOPS, chat_request

MAX_STOPS = 4
"""The hosted service takes no more stop strings."""
UNUSABLE_ANSWERS = 3
"""So many answers in a row that are no answers at all are the end of it."""
REFUSALS = (400, 404, 405, 422, 501)
"""What a server answers to a route or a parameter it does not know."""


@dataclass(frozen=True)
class _Manner:
    """How to put a prompt to this server."""

    api: Literal["completions", "chat"]
    several: bool = True
    """Whether to ask for several choices at once."""
    without: frozenset[str] = frozenset()
    """Parameters it does not take."""


@dataclass(frozen=True)
class _Choice:
    text: str
    finish_reason: str
    model: str
    prompt_tokens: int
    tokens: int


class OpenAISampler:
    """Completes prompts over HTTP, with one client for all threads."""

    def __init__(self, options: OpenAIOptions) -> None:
        """Makes the client; nothing is sent yet.

        Raises:
            SamplerError: the hosted service is asked for, and there is no key.
        """
        self._options = options
        key = os.environ.get(options.api_key_env)
        url = options.base_url or os.environ.get("OPENAI_BASE_URL")
        if not key and not url:
            raise SamplerError(
                f"The sampler openai:{options.model} has no key: set the environment variable {options.api_key_env}, or "
                "name an endpoint of your own with --base-url."
            )
        self._client = openai.OpenAI(
            # The client insists on one; an endpoint that wants none ignores it.
            api_key=key or "none",
            base_url=url,
            timeout=options.timeout,
            max_retries=options.retries,
            http_client=openai.DefaultHttpxClient(trust_env=not _is_local(url)),
        )
        self._url = str(self._client.base_url).rstrip("/")
        # An endpoint that never answered is most likely not there: say so soon.
        self._first_client = self._client.with_options(max_retries=min(1, options.retries))
        self._reached = False
        self._manner = _Manner("chat" if options.api == "chat" else "completions")

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt; may be called from many threads at once.

        Raises:
            SamplerError: the endpoint cannot be reached, refuses, or answers nonsense.
        """
        count = self._options.samples_per_prompt
        wanted = count if at_most is None else min(count, at_most)
        choices: list[_Choice] = []
        while len(choices) < wanted:
            choices += self._choices(prompt.text, wanted - len(choices))
        return [
            Sample(prompt, number, one.text, one.model, one.finish_reason, one.prompt_tokens, one.tokens)
            for number, one in enumerate(choices[:wanted])
        ]

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _choices(self, prompt: str, wanted: int) -> list[_Choice]:
        """Returns one or more choices, at the first manner of asking that the server takes."""
        manner = self._manner
        refusal: openai.APIStatusError | None = None
        while True:
            try:
                choices = self._ask(prompt, wanted if manner.several else 1, manner)
            except openai.APIStatusError as error:
                # A wrong route says less than any other refusal.
                if refusal is None or error.status_code != 404:
                    refusal = error
                other = self._other_manner(manner, error)
                if other is None:
                    raise self._explained(refusal) from error
                manner = other
            except openai.APIError as error:
                raise self._explained(error) from error
            else:
                self._manner = manner
                self._reached = True
                return choices

    def _ask(self, prompt: str, count: int, manner: _Manner) -> list[_Choice]:
        """Returns the choices of one request; repeats it when what comes back is no answer."""
        client = self._client if self._reached else self._first_client
        parameters = self._parameters(count, manner)
        create: Callable[..., Any]
        if manner.api == "chat":
            create = client.chat.completions.create
            parameters["messages"] = [{"role": "user", "content": chat_request(prompt)}]
        else:
            create = client.completions.create
            parameters["prompt"] = prompt
        seen = ""
        for _ in range(UNUSABLE_ANSWERS):
            try:
                answer = create(**parameters)
            except (JSONDecodeError, UnicodeDecodeError, openai.APIResponseValidationError) as error:
                seen = str(error)
                continue
            choices = _read(answer, self._options.model)
            if choices:
                return choices
            seen = f"no choices in {answer!r}"
        raise SamplerError(
            f"{self._url} does not answer as an OpenAI-compatible endpoint does ({seen[:200]}): check --base-url."
        )

    def _parameters(self, count: int, manner: _Manner) -> dict[str, Any]:
        options = self._options
        parameters: dict[str, Any] = {
            "model": options.model,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
        }
        if count > 1:
            parameters["n"] = count
        if manner.api == "completions":
            parameters["stop"] = list(COMPLETION_STOPS[:MAX_STOPS])
        if "max_tokens" in manner.without:
            parameters["max_completion_tokens"] = options.max_tokens
        return {name: value for name, value in parameters.items() if name not in manner.without}

    def _other_manner(self, manner: _Manner, error: openai.APIStatusError) -> _Manner | None:
        """Returns what to try after a refusal, or None when there is nothing left."""
        if error.status_code not in REFUSALS:
            return None
        if error.param == "n" and manner.several:
            return replace(manner, several=False)
        if error.param in ("temperature", "top_p", "max_tokens", "stop") and error.param not in manner.without:
            return replace(manner, without=manner.without | {error.param})
        if manner.api == "completions" and self._options.api == "auto" and not self._reached:
            return replace(manner, api="chat")
        if manner.several and error.status_code != 404:
            return replace(manner, several=False)
        return None

    def _explained(self, error: openai.APIError) -> SamplerError:
        """Returns the error as the user shall read it; the key is never in it."""
        options = self._options
        if isinstance(error, openai.APITimeoutError):
            return SamplerError(f"{self._url} gave no answer within {options.timeout:g} s: set openai.timeout higher.")
        if isinstance(error, openai.APIConnectionError):
            reason = error.__cause__ or error
            return SamplerError(f"Cannot reach {self._url}: is it running? ({reason}) Check --base-url.")
        if not isinstance(error, openai.APIStatusError):
            return SamplerError(f"{self._url} failed: {error.message}")
        if error.status_code in (401, 403):
            given = "is not accepted" if os.environ.get(options.api_key_env) else "is not set, and a key is wanted"
            return SamplerError(
                f"{self._url} refuses access ({error.status_code}): the key in the environment variable "
                f"{options.api_key_env} {given}. Set it, or name another variable with --api-key-env."
            )
        said = _message(error)
        if error.status_code == 404:
            return SamplerError(f"{self._url} has no model {options.model} or no such route: {said}.{self._models()}")
        return SamplerError(f"{self._url} refuses the model {options.model} ({error.status_code}): {said}.")

    def _models(self) -> str:
        """Returns the server's models as a hint, or what else may be wrong."""
        try:
            names = [model.id for model in self._first_client.models.list().data]
        except (openai.OpenAIError, ValueError, AttributeError):
            return "" if self._url.endswith("/v1") else " Most base URLs end in /v1."
        return f" It has {', '.join(names[:10])}." if names else ""


def _read(answer: Any, model: str) -> list[_Choice]:
    """Returns the choices of an answer, none if it is not one. Tokens are known for all choices together only."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices:
        return []
    usage = getattr(answer, "usage", None)
    tokens = getattr(usage, "completion_tokens", None) or 0
    asked = getattr(usage, "prompt_tokens", None) or 0
    read = []
    for number, choice in enumerate(choices):
        message = getattr(choice, "message", choice)
        text = getattr(message, "content" if message is not choice else "text", None)
        share = tokens // len(choices) + (number < tokens % len(choices))
        reason = getattr(choice, "finish_reason", None) or "stop"
        read.append(_Choice(text or "", reason, getattr(answer, "model", None) or model, asked, share))
    return read


def _message(error: openai.APIStatusError) -> str:
    """Returns what the server said, on one line."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error.message).split())[:300].rstrip(".")


def _is_local(url: str | None) -> bool:
    """Tells whether a URL is on this machine, where a proxy has nothing to do."""
    return urlsplit(url or "").hostname in ("localhost", "127.0.0.1", "::1")
