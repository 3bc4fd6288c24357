"""Figures of the report with their data: accuracy against speed, and the map of soft targets."""
