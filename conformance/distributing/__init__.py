"""Runs whose cells are measured by the workers of a cluster."""
