"""Benchmarks of every backend, commit by commit; ``../README.md`` says how to run and read them."""
