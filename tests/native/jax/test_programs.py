"""Compiled programs that call the kernels: the end of a process, interrupts, a mesh of devices."""

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("jax")
pytestmark = pytest.mark.slow

BEGINNING = """
import jax, jax.numpy as jnp
from bce_conformance.native.jax import binary_cross_entropy_with_logits as loss

x = jnp.linspace(-3, 3, SIZE).astype(jnp.float32)
y = (jnp.arange(SIZE) % 2).astype(jnp.float32)
step = jax.jit(jax.value_and_grad(loss))
"""
LIMIT = 240  # seconds; a program that hangs is ended


def ran(size: int, program: str, **environment: str) -> tuple[int, str, str]:
    """What a program ended with, and what it printed on both streams."""
    text = BEGINNING.replace("SIZE", str(size)) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_process_ends_whose_last_steps_nobody_has_waited_for() -> None:
    program = "for _ in range(5): step(x, y)\nprint('done')"
    assert ran(4_000_000, program) == (0, "done\n", "")


def test_an_interrupt_in_a_kernel_is_an_error_of_the_program() -> None:
    status, out, error = ran(
        1000,
        """
        from bce_conformance.native.jax import ffi

        exact, evaluate = float(step(x, y)[0]), ffi.evaluate

        def interrupted(*arguments):
            ffi.evaluate = evaluate
            raise KeyboardInterrupt

        ffi.evaluate = interrupted
        try:
            jax.block_until_ready(step(x, y))
        except Exception as error:
            print("KeyboardInterrupt" in str(error), float(step(x, y)[0]) == exact)
        """,
    )
    assert (status, out) == (0, "True True\n"), error


def test_a_loss_of_shards_varies_over_the_mesh() -> None:
    status, out, error = ran(
        8,
        """
        from functools import partial
        from jax.sharding import AxisType, PartitionSpec as P

        mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))
        over = partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("d"), P("d")), out_specs=P())

        def whole(w, x, y):
            return jax.lax.pmean(loss(w * x, y, w), "d")

        w = jnp.float32(1.5)
        for each, one in zip(
            jax.jit(over(jax.value_and_grad(whole)))(w, x, y),
            jax.value_and_grad(lambda w: loss(w * x, y, w))(w),
        ):
            assert abs(float(each) - float(one)) < 1e-6, (each, one)
        try:
            jax.jit(over(lambda w, x, y: loss(x, y, w)))(w, x, y)
        except ValueError as error:
            print("replicat" in str(error))
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert (status, out) == (0, "True\n"), error
