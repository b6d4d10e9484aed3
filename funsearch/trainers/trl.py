"""The trainer as the engine sees it: a process of its own that runs TRL, watched line by line.

Knows nothing about what the process does with the examples (see `funsearch.trainers.process`), and loads no library,
so that memory and devices are free again when it returns.
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
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from funsearch.errors import TrainingError
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress
from funsearch.trainers.job import FIGURES, Workplace
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
"""Nothing is reported to anybody."""
NEEDED = ("trl", "peft", "datasets", "torch", "transformers")


class TrlTrainer:
    """Fine-tunes the base model with TRL; see `funsearch.rest_em.ports.Trainer` for its promises."""

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        folder = Path(job.folder)
        if done := finished(folder):
            return done
        check_installed()
        place = Workplace.beside(folder)
        try:
            if place.differs(asdict(job)):  # steps would not be the same steps
                shutil.rmtree(place.checkpoints, ignore_errors=True)
            place.write(asdict(job), examples)
            self._run(place, job.options, watch)
            shutil.rmtree(folder, ignore_errors=True)
            place.policy.rename(folder)
        except OSError as error:
            raise TrainingError(f"Cannot write the policy to {folder}: {error.strerror or error}.") from None
        shutil.rmtree(place.folder, ignore_errors=True)
        done = finished(folder)
        assert done is not None
        return done

    def _run(self, place: Workplace, options: TrainerOptions, watch: Callable[[ImproveProgress], None]) -> None:
        """Runs the process to its end.

        Raises:
            TrainingError: it failed, in its own words, or it was killed.
        """
        said: dict[str, Any] = {}
        started = partial(subprocess.Popen, _command(place, options), env=_environment(options), text=True)
        # Its input says nothing; that it closes tells it that we are gone.
        with (
            place.log.open("ab") as log,
            started(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if not line.startswith('{"'):
                        continue
                    said = json.loads(line)
                    if "step" in said:
                        watch(ImproveProgress(said["step"], said["steps"], said.get("loss")))
                    elif "warning" in said:
                        logger.warning("%s", said["warning"])
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            _failed(process.returncode, said, place)


def finished(folder: Path) -> Improved | None:
    """Returns what is known of a policy whose folder is whole, else None."""
    try:
        data = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        return Improved(data["kind"], data["figures"])
    except (OSError, ValueError, KeyError):
        return None


def check_installed() -> None:
    """Refuses to begin what cannot be done for want of a package.

    Raises:
        TrainingError: names what is missing.
    """
    missing = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise TrainingError(f'Training needs {", ".join(missing)}: pip install "funsearch[train]".')


def _command(place: Workplace, options: TrainerOptions) -> list[str]:
    module = ["-m", "funsearch.trainers.process", str(place.folder)]
    if options.processes == 1:
        return [sys.executable, *module]
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(options.processes)]
    return [sys.executable, *several, *module]


def _environment(options: TrainerOptions) -> dict[str, str]:
    # An actor of Ray has OMP_NUM_THREADS=1 or so.
    threads = options.threads or max(1, len(os.sched_getaffinity(0)) // options.processes)
    return {**os.environ, **QUIET, "OMP_NUM_THREADS": str(threads)}


def _failed(status: int, said: dict[str, Any], place: Workplace) -> NoReturn:
    """Raises what a process that did not end well has to say.

    Raises:
        TrainingError: always.
    """
    again = "The same command goes on from the latest checkpoint."
    if "error" in said:
        raise TrainingError(f"{said['error']} {again}")
    lines = [
        line
        for line in place.log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip(" =-")  # several processes end with a table
    ]
    if status == -signal.SIGKILL or any("Signal 9 (SIGKILL)" in line for line in lines[-5:]):
        raise TrainingError(
            "The trainer was killed, most likely for lack of memory: set trainer.batch_size or trainer.max_length "
            f"lower. {again}"
        )
    last = lines[-1] if lines else f"exit status {status}"
    raise TrainingError(f"The trainer failed: {last} (see {place.log}). {again}")
