"""Adapters: one framework each, translated from and to the calls of the seam."""
