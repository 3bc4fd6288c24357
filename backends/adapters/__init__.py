"""Adapters: one framework each, translated from and to the calls that cross the process boundary."""
