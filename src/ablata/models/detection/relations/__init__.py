"""Relations between classes and between regions."""
