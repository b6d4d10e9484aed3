"""What vLLM reads from the environment, and where its processes leave their errors. Loads nothing of vLLM."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from funsearch.samplers.options import VllmOptions

SPARE_FROM = 4
"""With more cores than this, one is left to the rest of funsearch."""
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Exit)): (.+)$", re.MULTILINE)
_TELLS_NOTHING = ("Engine core initialization failed", "See root cause above", "Worker failed with error")


def prepare_import(*, offline: bool) -> None:
    """Sets what vLLM and the hub's library read once, when they are imported: no reports to anybody, no chatter.

    Args:
        offline: the model is a folder, so nothing shall be asked of a hub.
    """
    os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if offline:
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


def cpu_environment(options: VllmOptions) -> dict[str, str | None]:
    """Returns what the engine's process must find on a CPU.

    The engine computes in its own process, so vLLM leaves its threads unbound: they are bound here. An actor of Ray
    has OMP_NUM_THREADS=1 or so in its environment, which would leave the engine one thread.
    """
    cores = cores_for(options.threads, os.sched_getaffinity(0))
    return {
        "OMP_NUM_THREADS": str(len(cores)),
        "GOMP_CPU_AFFINITY": " ".join(map(str, cores)),
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_CPU_KVCACHE_SPACE": str(options.kv_cache_gb),
        **QUIET,
    }


def gpu_environment() -> dict[str, str | None]:
    """Returns what the engine's process must find on a GPU: vLLM chooses its threads itself, unless Ray has."""
    return {"OMP_NUM_THREADS": None, **QUIET}


def cores_for(threads: str, usable: Collection[int]) -> list[int]:
    """Returns the cores that `threads` names; for `auto` one of each physical core of the usable ones."""
    if threads != "auto":
        return [core for part in threads.split(",") for core in _range(part)]
    physical = sorted({min(_siblings(core) & set(usable)) for core in usable})
    return physical[1:] if len(physical) > SPARE_FROM else physical


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables (None takes one away) for what is started inside, and puts all back to what it was."""
    before = dict(os.environ)
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        yield
    finally:
        # vLLM adds variables of its own, preloaded libraries among them, that no other child shall inherit.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


class EngineLog:
    """A file into which vLLM's processes write their errors, to find out what went wrong in one of them."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="funsearch-vllm-"))
        self._file = self._folder / "errors.log"
        self._settings = self._folder / "logging.json"
        self._settings.write_text(json.dumps(self._logging()))

    @property
    def environment(self) -> dict[str, str | None]:
        """Returns the variables by which a vLLM process that is started now writes here."""
        if "VLLM_LOGGING_CONFIG_PATH" in os.environ:
            return {}
        return {"VLLM_LOGGING_CONFIG_PATH": str(self._settings), "VLLM_CONFIGURE_LOGGING": "1"}

    def cause(self) -> str | None:
        """Returns the first exception that was logged, in one line; None if there is none that tells anything."""
        try:
            text = self._file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        for kind, message in _EXCEPTION.findall(text):
            if not any(words in message for words in _TELLS_NOTHING):
                return f"{kind}: {message.strip()}"
        return None

    def close(self) -> None:
        """Removes the file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _logging(self) -> dict[str, Any]:
        level = os.environ.get("VLLM_LOGGING_LEVEL", "ERROR")
        handlers: dict[str, Any] = {
            "file": {"class": "logging.FileHandler", "filename": str(self._file), "delay": True}
        }
        if level != "ERROR":
            handlers["stream"] = {"class": "logging.StreamHandler", "level": level}
        loggers = {"vllm": {"handlers": list(handlers), "level": level, "propagate": False}}
        return {"version": 1, "disable_existing_loggers": False, "handlers": handlers, "loggers": loggers}


def root_message(error: BaseException) -> str:
    """Returns the last line of the first cause: what vLLM wraps around it says less."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _siblings(core: int) -> set[int]:
    """Returns the logical cores that share a physical one with `core`."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
        return {core, *(sibling for part in text.strip().split(",") for sibling in _range(part))}
    except (OSError, ValueError):
        return {core}


def _range(part: str) -> range:
    first, _, last = part.strip().partition("-")
    return range(int(first), int(last or first) + 1)
