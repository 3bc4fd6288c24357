"""Verification: the truth against arb and mpmath, and the time that it takes."""
