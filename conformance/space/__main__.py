"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

from bce_conformance.conformance.covering.files import write

from .rules import ARRAYS, costly_rows, space

# With seed 1 the drawn calls show every impostor that is wrong where two levels meet
# (tests/planted); with seed 0 one walked through, as the only call that could show it gave NaN.
print(write(space(), 2, 0, ARRAYS))
print(write(space(), 3, 1, ARRAYS, costly_rows(seeds=range(1, 4))))
