"""The space of calls: combinations of levels, covering arrays of them, and what was covered."""
