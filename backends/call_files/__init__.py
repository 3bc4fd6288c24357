"""A call as JSON, which replays: ``calls.dumps`` and ``calls.loads``."""
