"""Scores: accuracy and its kin, each an accumulator of sums that processes can add up."""
