"""Measuring: the workloads that are timed, the clock around a call, and the memory limit."""
