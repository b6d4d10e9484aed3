"""What a candidate may use in a run: the problem's limits with the user's in their place."""

from dataclasses import replace

from funsearch.core.records import Limits
from funsearch.runtime.settings import Settings


def merged_limits(limits: Limits, settings: Settings) -> Limits:
    """Returns the problem's limits with those the user set instead."""
    chosen = settings.limits.model_dump(exclude_none=True)
    return replace(limits, **chosen)
