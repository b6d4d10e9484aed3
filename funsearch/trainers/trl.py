"""The trainer as the engine sees it: runs TRL in a process of its own and reads that process's reports.

Knows nothing about how the process trains (see `funsearch.trainers.process`), and loads no library itself, so that
memory and devices are free again when it returns.
"""

import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from funsearch.errors import TrainingError
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress
from funsearch.trainers.job import FIGURES, Report, Workplace
from funsearch.trainers.options import TrainerOptions

logger = logging.getLogger(__name__)

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_DISABLED": "true",
    "PYTHONWARNINGS": "ignore",
}
"""Environment in which the libraries send no telemetry and print no progress bars."""
REQUIRED = ("trl", "peft", "datasets", "torch", "transformers")


class TrlTrainer:
    """Fine-tunes the base model with TRL. Implements `funsearch.rest_em.ports.Trainer`."""

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        folder = Path(job.folder)
        if improved := finished(folder):
            return improved
        if not isinstance(job.options, TrainerOptions):
            raise TypeError(f"TrlTrainer takes TrainerOptions, not {type(job.options).__name__}")
        check_installed()
        place = Workplace.beside(folder)
        try:
            if place.differs(job):  # the steps of its checkpoints were other steps
                shutil.rmtree(place.checkpoints, ignore_errors=True)
            place.write(job, examples)
            self._run(place, job.options, watch)
            shutil.rmtree(folder, ignore_errors=True)
            place.policy.rename(folder)
        except OSError as error:
            raise TrainingError(f"Cannot write the policy to {folder}: {error.strerror or error}.") from None
        shutil.rmtree(place.folder, ignore_errors=True)
        improved = finished(folder)
        assert improved is not None
        return improved

    def _run(self, place: Workplace, options: TrainerOptions, watch: Callable[[ImproveProgress], None]) -> None:
        """Runs the process until it ends.

        Raises:
            TrainingError: it failed (the message is its own), or it was killed.
        """
        report: Report = {}
        start = partial(subprocess.Popen, _command(place, options), env=_environment(options), text=True)
        # Nothing is written to its standard input, which closes when this process ends.
        with (
            place.log.open("ab") as log,
            start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if not line.startswith('{"'):
                        continue
                    report = json.loads(line)
                    if "step" in report:
                        watch(ImproveProgress(report["step"], report["steps"], report.get("loss")))
                    elif "warning" in report:
                        logger.warning("%s", report["warning"])
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            _fail(process.returncode, report, place)


def finished(folder: Path) -> Improved | None:
    """Returns the result of an M-step whose folder is complete, otherwise None."""
    try:
        data = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        return Improved(data["kind"], data["figures"])
    except (OSError, ValueError, KeyError):
        return None


def check_installed() -> None:
    """Checks that the packages for training are installed.

    Raises:
        TrainingError: names the missing packages.
    """
    missing = [package for package in REQUIRED if importlib.util.find_spec(package) is None]
    if missing:
        raise TrainingError(f'Training needs {", ".join(missing)}: pip install "funsearch[train]".')


def _command(place: Workplace, options: TrainerOptions) -> list[str]:
    module = ["-m", "funsearch.trainers.process", str(place.folder)]
    if options.processes == 1:
        return [sys.executable, *module]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(options.processes)]
    return [sys.executable, *launcher, *module]


def _environment(options: TrainerOptions) -> dict[str, str]:
    # Ray sets a low OMP_NUM_THREADS in its actors.
    threads = options.threads or max(1, len(os.sched_getaffinity(0)) // options.processes)
    return {**os.environ, **QUIET, "OMP_NUM_THREADS": str(threads)}


def _fail(status: int, report: Report, place: Workplace) -> NoReturn:
    """Raises the error of a process that failed, from its last report or its log.

    Raises:
        TrainingError: always.
    """
    remedy = "Run the same command again to resume from the latest checkpoint."
    if "error" in report:
        raise TrainingError(f"{report['error']} {remedy}")
    lines = [
        line
        for line in place.log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip(" =-")  # torch.distributed.run ends its log with a table
    ]
    if status == -signal.SIGKILL or any("Signal 9 (SIGKILL)" in line for line in lines[-5:]):
        raise TrainingError(
            "The trainer was killed, most likely for lack of memory: lower trainer.batch_size or trainer.max_length. "
            f"{remedy}"
        )
    last = lines[-1] if lines else f"exit status {status}"
    raise TrainingError(f"The trainer failed: {last} (see {place.log}). {remedy}")
