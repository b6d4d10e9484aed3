"""The sandbox: the confined worker and its trusted side. docs/security.md says what each level covers and does not."""

from funsearch.sandbox.levels import available_levels, open_sandbox, self_test

__all__ = ["available_levels", "open_sandbox", "self_test"]
