"""The terminal: how commands print, refuse, and show progress."""
