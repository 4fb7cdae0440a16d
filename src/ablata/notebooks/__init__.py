"""Hand-written notebooks: their notes read into records, and five of them restated as studies."""
