"""The environment variables that vLLM reads, and the log file for the errors of its processes. Does not import vLLM."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from funsearch.samplers.options import VllmOptions

SPARE_FROM = 4
"""On a machine with more cores than this, one is left to the rest of funsearch."""
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Exit)): (.+)$", re.MULTILINE)
_UNINFORMATIVE = ("Engine core initialization failed", "See root cause above", "Worker failed with error")


def prepare_import(*, offline: bool) -> None:
    """Sets the variables that vLLM and the hub's library read on import: turns off telemetry and progress messages.

    Args:
        offline: whether the model is a folder, so that no request to a hub is needed.
    """
    os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if offline:
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


def cpu_environment(options: VllmOptions) -> dict[str, str | None]:
    """Returns the environment of the engine's process on a CPU.

    The engine computes in its own process, whose threads vLLM does not bind to cores; these variables do. Ray sets
    OMP_NUM_THREADS in its actors, often to 1, which would leave the engine one thread.
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
    """Returns the environment of the engine's process on a GPU, without Ray's limit on threads: vLLM sets its own."""
    return {"OMP_NUM_THREADS": None, **QUIET}


def cores_for(threads: str, usable: Collection[int]) -> list[int]:
    """Returns the cores that `threads` names; for `auto`, one logical core for each physical core that is usable."""
    if threads != "auto":
        return [core for part in threads.split(",") for core in _range(part)]
    physical = sorted({min(_siblings(core) & set(usable)) for core in usable})
    return physical[1:] if len(physical) > SPARE_FROM else physical


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Sets environment variables (None removes one) for processes started inside; restores all variables afterwards."""
    before = dict(os.environ)
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        yield
    finally:
        # vLLM adds variables of its own, such as preloaded libraries, that no other child process may inherit.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


class EngineLog:
    """A file to which vLLM's processes log their errors, in order to find out why one of them failed."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="funsearch-vllm-"))
        self._file = self._folder / "errors.log"
        self._settings = self._folder / "logging.json"
        self._settings.write_text(json.dumps(self._logging()))

    @property
    def environment(self) -> dict[str, str | None]:
        """Variables that make a vLLM process log to this file."""
        if "VLLM_LOGGING_CONFIG_PATH" in os.environ:
            return {}
        return {"VLLM_LOGGING_CONFIG_PATH": str(self._settings), "VLLM_CONFIGURE_LOGGING": "1"}

    def cause(self) -> str | None:
        """Returns the first informative exception in the log, in one line; None if there is none."""
        try:
            text = self._file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        for kind, message in _EXCEPTION.findall(text):
            if not any(words in message for words in _UNINFORMATIVE):
                return f"{kind}: {message.strip()}"
        return None

    def close(self) -> None:
        """Removes the file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _logging(self) -> dict[str, object]:
        level = os.environ.get("VLLM_LOGGING_LEVEL", "ERROR")
        handlers: dict[str, dict[str, object]] = {
            "file": {"class": "logging.FileHandler", "filename": str(self._file), "delay": True}
        }
        if level != "ERROR":
            handlers["stream"] = {"class": "logging.StreamHandler", "level": level}
        loggers = {"vllm": {"handlers": list(handlers), "level": level, "propagate": False}}
        return {"version": 1, "disable_existing_loggers": False, "handlers": handlers, "loggers": loggers}


def root_message(error: BaseException) -> str:
    """Returns the last line of the root cause, which says more than the exceptions that vLLM wraps around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _siblings(core: int) -> set[int]:
    """Returns the logical cores that share a physical core with `core`, itself included."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
        return {core, *(sibling for part in text.strip().split(",") for sibling in _range(part))}
    except (OSError, ValueError):
        return {core}


def _range(part: str) -> range:
    first, _, last = part.strip().partition("-")
    return range(int(first), int(last or first) + 1)
