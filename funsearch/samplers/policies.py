"""Checks a policy's folder before it is loaded. Knows nothing about how the policy is loaded."""

import json
from pathlib import Path

from funsearch.core.completions import Policy
from funsearch.errors import SamplerError
from funsearch.samplers.model_folder import check_model, expanded


def check_policy(policy: Policy) -> None:
    """Checks that a policy can be loaded: its folder is complete, and its adapter belongs to the policy's base model.

    Raises:
        SamplerError: it cannot; the message names the policy, the folder and the reason.
    """
    if policy.kind == "full":
        check_model(policy.folder)
    if policy.kind != "lora":
        return
    folder = Path(policy.folder)
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if not config.is_file() or not weights.is_file() or not weights.stat().st_size:
        raise SamplerError(
            f"The adapter of the policy {policy.name} is missing from {folder}, or incomplete: restore the folder, or "
            "train again under another --name."
        )
    try:
        base = str(json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SamplerError(
            f"{config} cannot be read: restore the folder of the policy {policy.name}, or train again under another "
            "--name."
        ) from None
    if expanded(base) != expanded(policy.base):
        raise SamplerError(
            f"The adapter of the policy {policy.name} was trained on the model {base}, not on {policy.base}: use it "
            f"with {base}."
        )
