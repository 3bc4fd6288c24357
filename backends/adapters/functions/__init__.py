"""Functions of a user's own, judged by the adapters of their frameworks."""
