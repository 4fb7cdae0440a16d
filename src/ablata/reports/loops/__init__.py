"""Research loops in words and figures: what was proposed, what became of it, what was gained."""
