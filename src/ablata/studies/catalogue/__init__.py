"""The studies that come with the package: every public function here is one, listed by its name."""
