"""What the evolved function is called: by its own name in the skeleton, `f_v0`, `f_v1`, ... in a prompt.

Knows nothing about how names are found or replaced.
"""

import re
from dataclasses import dataclass


def versioned(name: str, version: int) -> str:
    """Returns the name under which a prompt shows a program."""
    return f"{name}_v{version}"


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of the function in one text: its own, and those of its ancestors."""

    name: str
    """The specification's name of it."""
    version: int | None
    """The version asked for; None for a file, where every numbered version is an earlier one."""
    own: str = ""
    """The name it came with; empty for a body alone."""

    def rank(self, name: str) -> int:
        """Returns how well a definition's name fits, 0 if it does not."""
        if self.version is not None and name == versioned(self.name, self.version):
            return 3
        return 2 if name == self.name else 1 if self._number(name) is not None else 0

    @property
    def alias(self) -> str | None:
        """Returns the name other than the specification's by which the function calls itself, if there is one."""
        if self.own not in ("", self.name):
            return self.own
        return None if self.version is None else versioned(self.name, self.version)

    def is_ancestor(self, name: str) -> bool:
        """Returns whether a name is that of an earlier version."""
        number = self._number(name)
        return number is not None and name != self.alias and (self.version is None or number < self.version)

    def _number(self, name: str) -> int | None:
        match = re.fullmatch(rf"{re.escape(self.name)}_v(0|[1-9]\d{{0,8}})", name)
        return int(match[1]) if match else None
