"""Training on the predictions of a teacher."""
