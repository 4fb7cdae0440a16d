"""Distribution functions and quantiles: normal, Student's t, F, chi-square, Poisson; Shapiro and Wilk's test."""
