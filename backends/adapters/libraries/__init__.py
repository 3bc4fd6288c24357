"""Adapters of libraries that are measured on request: one file a library, under 60 lines each."""
