"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

from bce_conformance.conformance.covering.files import read, write

from .rules import ARRAYS, costly_rows, space
from .usual import write_usual

# With these seeds the calls that the default tier draws show every impostor that is wrong where two
# levels meet (tests/planted); with others one or two walked through, as each of the few calls that
# could show them gave NaN.
print(write(space(), 2, 0, ARRAYS))
print(write(space(), 3, 4, ARRAYS, costly_rows(seeds=range(1, 5))))
# What the default tier draws comes first, so that the thorough one draws it, too.
print(write(space(), 4, 4, ARRAYS, read(space(), 3, ARRAYS)))
print(write_usual(0))
