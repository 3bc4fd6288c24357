"""Checks of values: how near results are to the exact ones."""
