"""What a candidate may use in a run: the problem's limits with the user's in their place."""

from funsearch.core.records import Limits
from funsearch.runtime.settings import Settings


def merged_limits(limits: Limits, settings: Settings) -> Limits:
    """Returns the problem's limits with those the user set instead."""
    own = settings.limits
    return Limits(
        own.seconds or limits.seconds, own.memory_mb or limits.memory_mb, own.output_bytes or limits.output_bytes
    )
