"""The one training loop and what it needs: recipe, task interface, optimisers, schedules, EMA, checkpoints."""
