"""Before a study is run: its length, its cost, the noise of its runs, and what it can find."""
