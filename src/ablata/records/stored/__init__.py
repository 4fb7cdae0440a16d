"""A store that all machines of a lab reach: the files of its runs."""
