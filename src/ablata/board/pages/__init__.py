"""The pages of the board, one file a place."""
