"""A small OpenAI-compatible server on the loopback: completions, chat completions and the list of models.

It answers at once with what a function makes of the prompt, and fails when told to. For tests and for measuring what
the engine itself costs. `python -m funsearch.testing.endpoint ANSWERS.jsonl` serves recorded answers.
"""

import argparse
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any, ClassVar, Literal, Self

Api = Literal["completions", "chat"]
ROUTES: Mapping[str, Api] = {"/v1/completions": "completions", "/v1/chat/completions": "chat"}


@dataclass(frozen=True)
class Failure:
    """What one request gets instead of an answer."""

    status: int = 500
    """0 closes the connection without a word."""
    body: bytes | None = None
    """Sent as it is; None makes the error object that such servers send."""
    param: str | None = None
    """The parameter that the error object blames."""
    retry_after: float = 0.001
    """Seconds that a client is told to wait before its next try."""


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    path: str
    body: Mapping[str, Any]
    authorization: str | None


@dataclass
class Endpoint:
    """The server; a context manager. All its parts may be changed while it runs."""

    answer: Callable[[str], Sequence[str]]
    """Makes the choices for a prompt; in chat, for the last message. A client gets no more than it asked for."""
    model: str = "test-model"
    """The only model it knows."""
    apis: Collection[Api] = ("completions", "chat")
    several: bool = True
    """Gives `n` choices to one request; otherwise one, and the next one to the next request for the same prompt."""
    key: str | None = None
    """The only key it takes; None takes all."""
    refuses: Collection[str] = ()
    """Parameters it answers 400 to."""
    delay: float = 0.0
    """Seconds until it answers."""
    failures: deque[Failure] = field(default_factory=deque)
    """What the next requests get instead of an answer."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = _Server(self)
        self._turns: dict[str, itertools.count[int]] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="endpoint", daemon=True).start()

    @property
    def base_url(self) -> str:
        """Returns what to give a client as its base URL."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def fail(self, times: int = 1, **failure: Any) -> None:
        """Makes the next requests fail, each with a `Failure` of these parts."""
        self.failures.extend([Failure(**failure)] * times)

    def close(self) -> None:
        """Ends the server and cuts its connections."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def reply(self, request: Request) -> Failure | dict[str, Any]:
        """Returns what becomes of a request."""
        self.requests.append(request)
        if self.delay:
            time.sleep(self.delay)
        with self._lock:
            if self.failures:
                return self.failures.popleft()
        if self.key is not None and request.authorization != f"Bearer {self.key}":
            return _refusal(401, "Incorrect API key provided.")
        if request.path == "/v1/models":
            return {"object": "list", "data": [{"id": self.model, "object": "model", "created": 0, "owned_by": "me"}]}
        api = ROUTES.get(request.path)
        if api is None or api not in self.apis:
            return _refusal(404, f"No such route: {request.path}")
        if request.body.get("model") != self.model:
            return _refusal(404, f"The model `{request.body.get('model')}` does not exist.")
        for name in self.refuses:
            if name in request.body:
                return _refusal(400, f"Unsupported parameter: '{name}'.", name)
        return self._completion(api, request.body)

    def _completion(self, api: Api, body: Mapping[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"] if api == "completions" else body["messages"][-1]["content"]
        texts = self._texts(prompt, int(body.get("n") or 1))
        tokens = sum(len(text.split()) for text in texts)
        return {
            "id": "1",
            "object": "text_completion" if api == "completions" else "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [_choice(api, number, text) for number, text in enumerate(texts)],
            "usage": {
                "prompt_tokens": len(prompt.split()),
                "completion_tokens": tokens,
                "total_tokens": len(prompt.split()) + tokens,
            },
        }

    def _texts(self, prompt: str, count: int) -> Sequence[str]:
        texts = self.answer(prompt)
        if self.several or not texts:
            return texts[:count]
        with self._lock:
            turn = next(self._turns.setdefault(prompt, itertools.count()))
        return [texts[turn % len(texts)]]


def _choice(api: Api, number: int, text: str) -> dict[str, Any]:
    said = {"text": text} if api == "completions" else {"message": {"role": "assistant", "content": text}}
    return {"index": number, "finish_reason": "stop", "logprobs": None, **said}


def _refusal(status: int, message: str, param: str | None = None) -> Failure:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return Failure(status, json.dumps({"error": error}).encode())


class _Server(ThreadingHTTPServer):
    """Keeps hold of its connections, so that closing it closes them too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connections: set[socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that hung up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server
    PHRASES: ClassVar[Mapping[int, str]] = {200: "OK"}

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def _reply(self, body: Mapping[str, Any]) -> None:
        reply = self.server.endpoint.reply(Request(self.path, body, self.headers["Authorization"]))
        if not isinstance(reply, Failure):
            self._send(200, json.dumps(reply).encode())
        elif reply.status == 0:
            self.close_connection = True
        else:
            content = reply.body
            if content is None:
                refusal = _refusal(reply.status, f"told to answer {reply.status}", reply.param)
                content = refusal.body or b""
            self._send(reply.status, content, f"retry-after-ms: {1000 * reply.retry_after:g}\r\n")

    def _send(self, status: int, content: bytes, header: str = "") -> None:
        head = (
            f"HTTP/1.1 {status} {self.PHRASES.get(status, 'Error')}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n{header}\r\n"
        )
        self.wfile.write(head.encode() + content)
        self.wfile.flush()


def main() -> None:
    """Serves the answers of a JSON Lines file in turn, to whatever is asked, until interrupted."""
    parser = argparse.ArgumentParser(description="Serves recorded answers as an OpenAI-compatible endpoint.")
    parser.add_argument("answers", type=Path, help='JSON Lines, one {"text": "..."} a line')
    parser.add_argument("--model", default="test-model")
    arguments = parser.parse_args()
    texts = [json.loads(line)["text"] for line in arguments.answers.read_text(encoding="utf-8").splitlines() if line]
    turns = itertools.count()

    def answer(_prompt: str) -> list[str]:
        start = next(turns)
        return [texts[(start + n) % len(texts)] for n in range(len(texts))]

    with Endpoint(answer, model=arguments.model) as endpoint:
        print(endpoint.base_url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
