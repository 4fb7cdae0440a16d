"""Workers of a study on a cluster: Ray or Slurm starts them, the ledger tells them what to train."""
