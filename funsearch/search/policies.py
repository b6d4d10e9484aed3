"""Looks up policies of trainings in the database, for searches that sample from them. Knows nothing about samplers."""

import json
from contextlib import closing
from pathlib import Path
from typing import Literal, cast

from funsearch.core.completions import Policy
from funsearch.errors import TrainingError
from funsearch.rest_em.ports import TrainingReader
from funsearch.settings.samplers import POLICY
from funsearch.settings.search import ServedPolicy, Settings
from funsearch.storage import open_storage


def best_policy(storage: TrainingReader, name: str) -> Policy:
    """Returns the policy with the name `TRAINING@ROUND`, or the latest published policy of `TRAINING`.

    Raises:
        StorageError: there is no such training.
        TrainingError: the training has no such policy, or no published policy yet.
    """
    training, at, _round = name.partition("@")
    policies = storage.policies(training)
    if at:
        matches = [policy for policy in policies if policy.name == name]
    else:
        published = [record.round for record in storage.rounds(training) if record.published]
        matches = [policy for policy in policies if published and policy.round == max(published)]
    if not matches:
        names = ", ".join(policy.name for policy in policies) or "none yet"
        raise TrainingError(f"There is no policy {name}: the training {training} has {names}.")
    return matches[0]


def with_policies(settings: Settings, db: str) -> Settings:
    """Returns the settings with the policies that their samplers name, looked up in the database.

    Raises:
        FunsearchError: there is no such policy.
    """
    names = [
        spec.removeprefix("vllm:").removeprefix(POLICY)
        for spec in settings.samplers
        if spec.startswith(f"vllm:{POLICY}")
    ]
    if not names:
        return settings
    with closing(open_storage(db, create=False)) as storage:
        policies = {name: _served(best_policy(storage, name)) for name in names}
    return settings.model_copy(update={"policies": policies})


def _served(policy: Policy) -> ServedPolicy:
    rank = 0
    if policy.kind == "lora":
        try:
            rank = int(json.loads((Path(policy.folder) / "adapter_config.json").read_text(encoding="utf-8"))["r"])
        except (OSError, ValueError, KeyError, TypeError):
            raise TrainingError(
                f"The adapter of the policy {policy.name} is missing from {policy.folder}, or incomplete: restore the "
                "folder, or train again under another --name."
            ) from None
    kind = cast(Literal["base", "lora", "full"], policy.kind)
    return ServedPolicy(name=policy.name, base=policy.base, folder=policy.folder, kind=kind, rank=rank)
