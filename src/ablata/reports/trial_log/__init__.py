"""A log of trials in a report: what was claimed beside what could be seen, in words and as a page."""
