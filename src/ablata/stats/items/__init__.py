"""What single items say: how noisy a score must be, other items of the kind, and which items two arms disagree on."""
