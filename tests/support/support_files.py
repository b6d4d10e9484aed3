"""Where the files lie that tests of several rooms share."""

from pathlib import Path

SUPPORT = Path(__file__).parent
