"""Options of the sandbox. Importing this module loads no library."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SandboxOptions:
    """Settings of the sandbox."""

    level: Literal["auto", "L1", "L2", "L3"] = "auto"
    """Required level of confinement. `auto`: the best that the machine offers."""
    unsafe: bool = False
    """Permits running candidates without confinement if there is none; such scores are marked."""
