"""The recipes themselves: every public function here is one, listed by its name."""
