"""Single runs, one of each setting: what a difference of two can tell, and which kept changes could have been noise."""
