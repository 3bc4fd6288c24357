"""Inputs: what is drawn, how it lies in memory, its exact results, and what the levels allow."""
