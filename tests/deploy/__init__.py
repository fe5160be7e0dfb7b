"""What is in cluster/deploy holds together, as far as that shows without a cluster."""
