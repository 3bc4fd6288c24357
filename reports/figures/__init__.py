"""Figures of the report with their data: accuracy against speed, soft targets, small plots."""
