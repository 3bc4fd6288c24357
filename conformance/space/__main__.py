"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

from bce_conformance.conformance.covering.files import write

from .rules import ARRAYS, costly_rows, space

for strength in (2, 3):
    first = costly_rows(seeds=range(1, 4)) if strength == 3 else ()
    print(write(space(), strength, 0, ARRAYS, first))
