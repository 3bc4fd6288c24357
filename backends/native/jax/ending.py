"""The end of a process waits for compiled programs that call the kernels through its Python.

A thread of XLA that enters Python after its end is ended there, and XLA waits for it for ever.
"""

from __future__ import annotations

import atexit
import contextlib
from functools import lru_cache

import jax
import jax.numpy as jnp


@lru_cache
def waits_for_programs() -> None:
    """Have the end of this process wait; to be called when a call is put into a program."""
    atexit.register(_wait)


def _wait() -> None:
    """Wait for all results that are alive, then run one more program on each device.

    A device begins it when those that were given to it before have ended, also programs whose
    results nobody kept.
    """
    for array in jax.live_arrays():
        with contextlib.suppress(Exception):  # deleted, or of a program that failed
            array.block_until_ready()
    for device in {*jax.local_devices(), *jax.local_devices(backend="cpu")}:
        with contextlib.suppress(Exception):
            jax.block_until_ready(jax.jit(jnp.negative)(jax.device_put(0.0, device)))
