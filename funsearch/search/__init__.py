"""The search: its loop, its ledger, replay, and reports on recorded runs. Knows nothing about Ray."""
