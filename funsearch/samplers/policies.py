"""Checks a policy's folder before it is loaded. Knows nothing about who loads it."""

import json
from pathlib import Path

from funsearch.core.completions import Policy
from funsearch.errors import SamplerError
from funsearch.samplers.model_folder import check_model, expanded


def check_policy(policy: Policy) -> None:
    """Refuses a policy whose folder is gone or broken, or whose adapter was made for another model.

    Raises:
        SamplerError: says which policy, which folder and why.
    """
    if policy.kind == "full":
        check_model(policy.folder)
    if policy.kind != "lora":
        return
    folder = Path(policy.folder)
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if not config.is_file() or not weights.is_file() or not weights.stat().st_size:
        raise SamplerError(
            f"The adapter of the policy {policy.name} is not in {folder}, or not whole: bring it back, or train anew "
            "under another --name."
        )
    try:
        base = str(json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SamplerError(f"{config} cannot be read: train the policy {policy.name} anew.") from None
    if expanded(base) != expanded(policy.base):
        raise SamplerError(
            f"The adapter of the policy {policy.name} was made for the model {base}, not for {policy.base}: name that "
            "model."
        )
