from collections.abc import Callable

import pytest

from funsearch.core.records import Prompt

MakePrompt = Callable[..., Prompt]


@pytest.fixture
def prompt() -> MakePrompt:
    def make(index: int = 0, text: str = "def f_v1():\n") -> Prompt:
        return Prompt(index, island=0, resets=0, text=text, version=1, parents=(), after=0)

    return make


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
