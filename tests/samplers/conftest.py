from collections.abc import Callable

import pytest

from funsearch.core.completions import Request

MakeRequest = Callable[..., Request]


@pytest.fixture
def request_of() -> MakeRequest:
    """Makes requests for the samples of a best-shot prompt."""

    def make(index: int = 0, text: str = "def f_v1():\n", count: int = 4) -> Request:
        return Request(prompt=text, count=count, index=index)

    return make


@pytest.fixture(autouse=True)
def _no_keys_or_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
