"""Covering arrays under constraints: few rows in which every combination of levels occurs."""
