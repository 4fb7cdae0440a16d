"""What `import ablata` gives: each command as one function, its results as rows, data frames and HTML."""
