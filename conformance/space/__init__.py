"""The space of calls: its factors, the calls that cover it, and special values."""
