"""The one home of results.json: its schema, its types, reading, writing, and the host."""
