"""The confined worker and its trusted side. docs/security.md says what each level covers, and what none does."""

from funsearch.sandbox.levels import available_levels, open_sandbox, self_test

__all__ = ["available_levels", "open_sandbox", "self_test"]
