"""Writes the covering arrays anew: ``python -m bce_conformance.conformance.space``."""

import numpy as np

from bce_conformance.conformance.covering.files import read, write

from .costly import broadcast_rows, costly_rows, telling_rows
from .parts import MADE, USUAL
from .rules import ARRAYS, space

# That the calls of the default tier show every impostor that is wrong where two levels meet
# (tests/planted) does not hang on the seeds: where NaN would hide one, spared.py has a call for it.
print(write(space(), 2, 0, ARRAYS))
costly = np.concatenate([telling_rows(), broadcast_rows(), costly_rows(seeds=range(3, 7))])
print(write(space(), 3, 4, ARRAYS, costly))
# What the default tier draws comes first, so that the thorough one draws it, too.
print(write(space(), 4, 4, ARRAYS, read(space(), 3, ARRAYS)))
print(USUAL.write(0), MADE.write(0))
