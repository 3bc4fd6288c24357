"""Upgrades: two places of one backend side by side, and the release in which a cell moved."""
