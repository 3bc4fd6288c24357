"""Isolation: one process a backend, the messages to and from it, and which inputs it changed."""
