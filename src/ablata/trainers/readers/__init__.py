"""Readers of results, one file a kind of layout: tables with a line a run, curves, configurations, event files."""
