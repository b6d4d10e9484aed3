"""An OpenAI-compatible endpoint on this machine with answers from a function, for tests and benchmarks.

It supports completions and chat, keeps connections alive, answers without delay, and fails on request.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, TypedDict

Answerer = Callable[[str, int], list[str]]


class EndpointRequest(TypedDict, total=False):
    """The body of a request, as far as the endpoint reads it."""

    prompt: str
    messages: list[dict[str, str]]
    n: int


class FakeEndpoint:
    """Serves on a port of the loopback interface until it is closed.

    `failures` holds what the next requests receive instead of an answer: a status, a body, or 0 to close the
    connection.
    """

    def __init__(
        self,
        answer: Answerer,
        *,
        completions: bool = True,
        many_choices: bool = True,
        refuses: Collection[str] = (),
        port: int = 0,
    ) -> None:
        """Starts serving.

        Args:
            answer: returns the texts for a prompt, given the prompt and the number of texts.
            completions: whether the model has the completions API besides chat.
            many_choices: whether the endpoint obeys `n`; otherwise each request gets one choice.
            refuses: parameters with which a request is refused.
            port: to serve on; 0 for any free port.
        """
        self.answer = answer
        self.completions = completions
        self.many_choices = many_choices
        self.refuses = refuses
        self.failures: deque[int | str] = deque()
        self.requests: list[str] = []
        self.keys: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def reply(self, path: str, request: EndpointRequest) -> tuple[int, str]:
        """Returns status and body for a request."""
        if self.failures:
            failure = self.failures.popleft()
            return (200, failure) if isinstance(failure, str) else (failure, _error(f"scripted failure {failure}"))
        if path.endswith("/models"):
            return 200, json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]})
        chat = path.endswith("/chat/completions")
        if not chat and not (self.completions and path.endswith("/completions")):
            return 404, _error("this model has no completions API" if path.endswith("/completions") else "not found")
        for name in self.refuses:
            if name in request:
                return 400, _error(f"Unsupported parameter: {name}", name)
        prompt = request["messages"][-1]["content"] if chat else request["prompt"]
        texts = self.answer(prompt, request.get("n", 1) if self.many_choices else 1)
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                **({"message": {"role": "assistant", "content": t}} if chat else {"text": t}),
            }
            for i, t in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": sum(len(t) // 4 for t in texts)}
        usage["total_tokens"] = sum(usage.values())
        kind = "chat.completion" if chat else "text_completion"
        body = {"id": "0", "object": kind, "created": 0, "model": "fake", "choices": choices, "usage": usage}
        return 200, json.dumps(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer({})

            def handle(self) -> None:
                with suppress(ConnectionError):  # the client may disconnect at any time
                    super().handle()

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    request = json.loads(data)
                except ValueError:  # truncated: the client has disconnected
                    self.close_connection = True
                    return
                endpoint.requests.append(self.path)
                endpoint.keys.append(self.headers.get("Authorization"))
                self._answer(request)

            def _answer(self, request: EndpointRequest) -> None:
                status, body = endpoint.reply(self.path, request)
                if not status:
                    self.close_connection = True
                    return
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _error(message: str, param: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": "fake", "param": param, "code": None}})
