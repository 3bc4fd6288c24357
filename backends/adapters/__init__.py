"""Adapters: one framework each, translated from and to calls that cross the process boundary."""
