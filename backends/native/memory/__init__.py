"""Operands in memory of any layout, and the threads that share them out."""
