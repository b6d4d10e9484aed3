"""The search: its loop, its ledger, replay, and what can be told of a recorded run. Knows nothing about Ray."""
