"""Checks that a folder holds a model. Knows nothing about how the model is loaded."""

from pathlib import Path

from funsearch.errors import SamplerError

WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")


def check_model(model: str) -> None:
    """Checks that a model named by its folder is there; a name on a hub passes.

    Raises:
        SamplerError: the folder does not exist, or has no config or no weights.
    """
    folder = Path(model).expanduser()
    if not folder.exists():
        if model.startswith((".", "/", "~")):
            raise SamplerError(f"There is no model folder {model}.")
        return
    if not folder.is_dir():
        raise SamplerError(f"{model} is a file: name the model's folder.")
    if not (folder / "config.json").is_file():
        raise SamplerError(f"{model} is not a model folder: it has no config.json.")
    if not any(path.stat().st_size for pattern in WEIGHTS for path in folder.glob(pattern)):
        raise SamplerError(f"The model folder {model} has no weights (*.safetensors): download or convert the model.")


def is_folder(model: str) -> bool:
    """Returns whether a model is a folder on this machine; otherwise it is a name on a hub."""
    return Path(model).expanduser().is_dir()


def expanded(model: str) -> str:
    """Returns the absolute path of a folder; a name on a hub is returned unchanged."""
    return str(Path(model).expanduser().resolve()) if is_folder(model) else model


def model_name(model: str) -> str:
    """Returns the name of a model in samples: the folder's name, or its name on the hub."""
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model
