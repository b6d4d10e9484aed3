"""ReST^EM trainings: rounds, workers and policies. Knows nothing about Ray."""
