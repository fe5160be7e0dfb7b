"""Loss terms, one a file with its equation. A term is a weight and a function of a step to a scalar."""
