"""Copies between the processor and the device, and a simulator that refuses what devices refuse."""

import ml_dtypes
import numpy as np
from numba import config, cuda

from bce_conformance.native.device import training
from bce_conformance.native.device.memory import to_device, to_host
from bce_conformance.native.element import ladder
from bce_conformance.native.element.quantities import Element

__all__ = ["compile_ahead", "same_bits", "to_device", "to_host"]


def same_bits(got, host):
    """Whether two arrays are the same, also in the signs of zeros; the bits of NaN are free."""
    if (got.dtype, got.shape) != (host.dtype, host.shape):
        return False
    numbers = ~np.isnan(host)
    same = np.asarray(got)[numbers].tobytes() == np.asarray(host)[numbers].tobytes()
    return same and np.array_equal(~np.isnan(got), numbers)


def refusing(copy):
    """A copy that refuses bfloat16, as those of real devices do."""

    def copied(array, *arguments, **options):
        if array.dtype == ml_dtypes.bfloat16:
            raise ValueError("cannot include dtype 'E' in a buffer")
        return copy(array, *arguments, **options)

    return copied


if config.ENABLE_CUDASIM:
    cuda.to_device = refusing(cuda.to_device)
    simulated = type(cuda.to_device(np.zeros(1)))
    simulated.copy_to_host = refusing(simulated.copy_to_host)


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
        ladder.in_float64(0, Element(0.5, one, one, one, one, one), 1.0, 0, like)
        ladder.rounded(1.0, 0.0, 1.0, like)
        if like.dtype != np.float64:
            training.narrow_exp(0.5)
            training.narrow_log1p(0.5)
            training._loss(like, like, 0.5, 0.0, 0.0)
            training._gradient(like, like, 0.5, 1.0)
    ladder.added(1.0, 0.0, 1.0, 0.0)
    training.two_sum(1.0, 1.0)
