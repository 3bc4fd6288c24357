"""Compiled loops over elements: blocks of any call, sums by format, and CUDA."""
