"""The confined worker and its trusted side. `open_sandbox` chooses a level; see docs/security.md for what each covers."""

from funsearch.sandbox.levels import available_levels, open_sandbox, self_test

__all__ = ["available_levels", "open_sandbox", "self_test"]
