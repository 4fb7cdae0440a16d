"""What a verdict rests on: earlier looks at its question, the test that was used, pairing, test items."""
