"""What can be set of task sets. Knows nothing about any of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from funsearch.core.ranges import check_ranges


@dataclass(frozen=True)
class TaskOptions:
    """Which tasks a training has. Each task set reads what concerns it."""

    count: int = 1000
    """Tasks to train on, at most."""
    heldout: int = 200
    """Held-out tasks, at most."""
    transfer: int = 200
    """Tasks of the transfer families, at most."""
    families: tuple[str, ...] = ()
    """Families to train on; all but the transfer families when empty."""
    transfer_families: tuple[str, ...] = ()
    """Families that are only measured on."""
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`reasoning`: what a family's generator is given, by family."""
    shots: int | None = None
    """Worked examples in front of each task; None: 3 where the model completes texts, none in a chat."""
    tau: float | str = 0.0
    """`run:`: by how much a program must beat the best one shown to it, or `p75` for the 75th percentile of gains."""
    seconds: float = 10.0
    """`code`: wall clock for each test."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("count", "heldout"), from_zero=("transfer", "shots"), positive=("seconds",))

    def shots_for(self, chat: bool) -> int:
        """Returns how many worked examples to show."""
        return self.shots if self.shots is not None else 0 if chat else 3
