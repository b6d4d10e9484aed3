"""Options of the trainer. Importing this module loads no library."""

from dataclasses import dataclass
from typing import Literal

from funsearch.core.ranges import check_ranges

LEAST_RANK = 8
"""The smallest adapter rank for which vLLM reserves memory."""
MAY_CHANGE = ("batch_size", "gradient_accumulation_steps", "max_length", "save_steps", "processes", "threads")
"""Options that may change when a training is resumed: what fits into memory, and how the work is carried out."""


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Options of the M-step. Singh et al. (arXiv 2312.06585) state none of these."""

    method: Literal["sft", "dpo"] = "sft"
    """How to train. `sft`: on the likelihood of correct answers (ReST^EM). `dpo`: to prefer correct answers to wrong
    ones to the same task."""
    full: bool = False
    """Trains all weights instead of a LoRA adapter."""
    rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    """Rank of the adapter; one of those that vLLM serves."""
    alpha: int | None = None
    """Scale of the adapter, divided by its rank. None: twice the rank."""
    dropout: float = 0.0
    """Dropout rate of the adapter's inputs."""
    learning_rate: float = 2e-4
    """Peak learning rate."""
    epochs: float = 3.0
    """Number of passes over the examples."""
    batch_size: int = 16
    """Number of answers per process and batch."""
    gradient_accumulation_steps: int = 1
    """Number of batches whose gradients are accumulated for one step."""
    warmup_steps: int = 5
    """Number of steps over which the learning rate rises to its peak."""
    max_length: int = 1024
    """Maximum number of tokens of prompt and answer together; longer examples are dropped."""
    save_steps: int = 50
    """Number of steps between two checkpoints."""
    beta: float = 0.1
    """DPO: how strongly the policy is kept close to the base model."""
    processes: int = 1
    """Number of training processes, each with a GPU of its own on the same machine."""
    threads: int | None = None
    """Number of CPU threads per process. None: the available cores, divided among the processes."""

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
        """Adapter rank that a sampler must be able to serve; 0 if all weights are trained."""
        return 0 if self.full else max(LEAST_RANK, self.rank)
