"""Re-identification."""
