"""Several trainings of one network as one: their layers are stacked, everything else is each one's own."""
