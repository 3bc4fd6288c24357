"""Copies between the processor and the device, in bfloat16 too, which Numba has no copies of."""

import ml_dtypes
import numpy as np
from numba import config, cuda

from bce_conformance.native.device import training
from bce_conformance.native.element import ladder
from bce_conformance.native.element.quantities import Element

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def to_device(array):
    """An array of the device's."""
    is_bfloat16 = array.dtype == BFLOAT16
    return cuda.to_device(array.view(np.int16) if is_bfloat16 else array).view(array.dtype)


def to_host(array):
    """An array of NumPy's."""
    bits = array.view(np.int16) if array.dtype == BFLOAT16 else array
    return np.asarray(bits.copy_to_host()).view(array.dtype)


def compile_ahead():
    """Compile what kernels call, where the device is simulated.

    Else the simulator's threads would all wait for one of them, and its loop for these.
    """
    if not config.ENABLE_CUDASIM:
        return
    one = np.float64(1)
    for like in (np.int16(0), np.uint16(0), np.float32(0), np.float64(0)):
        ladder.exact(like)
        ladder.evaluate(0, Element(0.5, one, one, one, one, one), 1.0, 0, like)
        ladder.settled(0, Element(0.5, one, one, one, one, one), 1.0, 0, like)
        ladder.rounded(1.0, 0.0, 1.0, like)
        if like.dtype != np.float64:
            training.narrow_exp(0.5)
            training.narrow_log1p(0.5)
            training._loss(like, like, 0.5, 0.0, 0.0)
            training._gradient(like, like, 0.5, 1.0)
    ladder.added(1.0, 0.0, 1.0, 0.0)
    training.two_sum(1.0, 1.0)
