"""What can be set of the trainer. Light: importing it loads no library."""

from dataclasses import dataclass
from typing import Literal

from funsearch.core.ranges import check_ranges

LEAST_RANK = 8
"""The least rank that vLLM makes room for."""
MAY_CHANGE = ("batch_size", "gradient_accumulation_steps", "max_length", "save_steps", "processes", "threads")
"""What may be another when a training goes on: what fits into memory, and how it is worked off."""


@dataclass(frozen=True)
class TrainerOptions:
    """The M-step. Singh et al. (arXiv 2312.06585) state none of these."""

    method: Literal["sft", "dpo"] = "sft"
    """`sft`: likelihood of right answers (ReST^EM). `dpo`: right answers preferred to wrong ones of the same task."""
    full: bool = False
    """Trains all weights instead of a LoRA adapter."""
    rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    """Of the adapter; the ranks that vLLM serves."""
    alpha: int | None = None
    """None: twice the rank."""
    dropout: float = 0.0
    learning_rate: float = 2e-4
    epochs: float = 3.0
    batch_size: int = 16
    """Answers for each process and step."""
    gradient_accumulation_steps: int = 1
    """Batches whose gradients are added before a step."""
    warmup_steps: int = 5
    max_length: int = 1024
    """Tokens of prompt and answer; longer examples are left out."""
    save_steps: int = 50
    """Steps between checkpoints."""
    beta: float = 0.1
    """DPO: how strongly the policy is held to the base model."""
    processes: int = 1
    """Processes to train in at once, with a GPU of one machine each."""
    threads: int | None = None
    """Of the processor, for each process. None: as many as there are cores."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=(
                "alpha",
                "batch_size",
                "gradient_accumulation_steps",
                "max_length",
                "save_steps",
                "processes",
                "threads",
            ),
            positive=("learning_rate", "epochs", "beta"),
            from_zero=("dropout", "warmup_steps"),
        )

    @property
    def served_rank(self) -> int:
        """Returns the rank of adapters that a sampler must be ready for; 0 if all weights are trained."""
        return 0 if self.full else max(LEAST_RANK, self.rank)
