"""Metrics: accuracy, mean IoU, average precision, retrieval; each adds up sums, of several processes too."""
