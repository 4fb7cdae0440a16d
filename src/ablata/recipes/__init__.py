"""Recipes: functions that return one complete, frozen Recipe; one module a model family."""
