"""Adapters of libraries that are measured on request: one file a library."""
