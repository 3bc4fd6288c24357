import numpy as np
import pytest
from mpmath import mp

from tests.native.arithmetic.draws import RANDOM


@pytest.fixture
def same_draws():
    """A test draws the same numbers whatever ran before, and mpmath has 900 bits."""
    RANDOM.bit_generator.state = np.random.default_rng(1128).bit_generator.state
    with mp.workprec(900):
        yield
