"""One loss a file, each tested against reference values."""
