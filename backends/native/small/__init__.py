"""Small plain calls: the kernels of sums, with nothing broadcast, converted or checked."""
