"""Judging: results of backends as levels, errors and evidence."""
