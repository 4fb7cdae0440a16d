"""The page of the notebooks: conclusions beside the noise, and what was found when they were repeated."""
