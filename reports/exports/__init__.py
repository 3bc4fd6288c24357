"""A run in the formats of others: tables, JUnit's XML, JSON, a badge."""
