"""What can be set of the sandbox. Light: importing it loads nothing else."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SandboxOptions:
    """How candidates are confined."""

    level: Literal["auto", "L1", "L2", "L3"] = "auto"
    unsafe: bool = False
    """Permits running without confinement; every score made so is marked."""
