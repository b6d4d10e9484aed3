"""The names of the evolved function: its own name in the skeleton, and `f_v0`, `f_v1`, ... in a prompt.

Knows nothing about how names are found or replaced in code.
"""

import re
from dataclasses import dataclass


def versioned(name: str, version: int) -> str:
    """Returns the name under which a prompt shows a program."""
    return f"{name}_v{version}"


@dataclass(frozen=True, slots=True)
class Naming:
    """The names that the function and its earlier versions may have in one text."""

    name: str
    """Its name in the specification."""
    version: int | None
    """The version that the prompt asked for; None for a file, where all numbered versions are earlier ones."""
    own: str = ""
    """Its name in the text; empty if the text holds only the body."""

    def rank(self, name: str) -> int:
        """Returns how well the name of a definition matches, from 3 (best) to 0 (not at all)."""
        if self.version is not None and name == versioned(self.name, self.version):
            return 3
        return 2 if name == self.name else 1 if self._number(name) is not None else 0

    @property
    def alias(self) -> str | None:
        """The name, other than the specification's, that the function uses to call itself; None if there is none."""
        if self.own not in ("", self.name):
            return self.own
        return None if self.version is None else versioned(self.name, self.version)

    def is_ancestor(self, name: str) -> bool:
        """Returns whether a name belongs to an earlier version."""
        number = self._number(name)
        return number is not None and name != self.alias and (self.version is None or number < self.version)

    def _number(self, name: str) -> int | None:
        match = re.fullmatch(rf"{re.escape(self.name)}_v(0|[1-9]\d{{0,8}})", name)
        return int(match[1]) if match else None
