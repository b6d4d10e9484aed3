"""Types of the parameters that several addresses share."""

from typing import Annotated

from fastapi import Path

Id = Annotated[int, Path(ge=0, le=2**31 - 1)]
"""Number of a run, a program or a training."""
