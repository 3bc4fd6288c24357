"""The space of calls as data: what can be varied, and which combinations of it are tried."""
