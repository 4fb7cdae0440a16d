"""What lies in a run's folder beside its curves: predictions, items' scores, later evaluations, the user's code."""
