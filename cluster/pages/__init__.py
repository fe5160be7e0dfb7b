"""Templates of the pages that commands write."""
