"""The fast path: whole arrays in double-double, with a proven bound for every result."""
