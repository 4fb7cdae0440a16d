"""Factorial studies in a report: the record of what each change did, and how a page draws it."""
