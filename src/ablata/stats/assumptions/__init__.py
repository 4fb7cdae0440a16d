"""What the decision rule takes for granted: how noisy equal runs are, and how far equal seeds move together."""
