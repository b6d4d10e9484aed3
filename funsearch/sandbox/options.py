"""The sandbox's settings. Importing this module loads nothing else."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SandboxOptions:
    """Settings of the sandbox."""

    level: Literal["auto", "L1", "L2", "L3"] = "auto"
    unsafe: bool = False
    """Permits running without confinement; scores computed this way are marked."""
