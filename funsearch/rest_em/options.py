"""Options of task sets. Knows nothing about any particular one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from funsearch.core.ranges import check_ranges


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Which tasks a training has. Each task set reads the options that concern it."""

    count: int = 1000
    """Maximum number of tasks to train on."""
    heldout: int = 200
    """Maximum number of held-out tasks."""
    transfer: int = 200
    """Maximum number of tasks of the transfer families."""
    families: tuple[str, ...] = ()
    """Families to train on. Empty: all but the transfer families."""
    transfer_families: tuple[str, ...] = ()
    """Families that the policy is only measured on."""
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """`reasoning`: arguments of the generator of each family, by family."""
    shots: int | None = None
    """Worked examples in front of each task. None: 3 where the model completes texts, 0 in a chat."""
    tau: float | str = 0.0
    """`run:`: by how much a program must beat the best one shown to it, or `p75` for the 75th percentile of gains."""
    seconds: float = 10.0
    """`code`: wall-clock limit for each test."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("count", "heldout"), from_zero=("transfer", "shots"), positive=("seconds",))

    def shots_for(self, chat: bool) -> int:
        """Returns the number of worked examples to show."""
        return self.shots if self.shots is not None else 0 if chat else 3
