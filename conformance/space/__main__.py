"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

from bce_conformance.conformance.covering.files import write

from .rules import ARRAYS, space

for strength in (2, 3):
    print(write(space(), strength, 0, ARRAYS))
