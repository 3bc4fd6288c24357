"""Inputs of calls: what is drawn, its exact results, and what the levels allow."""
