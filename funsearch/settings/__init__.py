"""The settings of searches and trainings, and the samplers that they specify."""
