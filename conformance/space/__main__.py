"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

import numpy as np

from bce_conformance.conformance.covering.files import read, write

from .costly import broadcast_rows, costly_rows, telling_rows
from .rules import ARRAYS, space
from .usual import write_usual

# With these seeds the calls that the default tier draws show every impostor that is wrong where two
# levels meet (tests/planted); with others one or two walked through, as each of the few calls that
# could show them gave NaN.
print(write(space(), 2, 0, ARRAYS))
costly = np.concatenate([telling_rows(), broadcast_rows(), costly_rows(seeds=range(3, 7))])
print(write(space(), 3, 4, ARRAYS, costly))
# What the default tier draws comes first, so that the thorough one draws it, too.
print(write(space(), 4, 4, ARRAYS, read(space(), 3, ARRAYS)))
print(write_usual(0))
