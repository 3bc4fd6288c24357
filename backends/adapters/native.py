"""The native implementation of this package, through its public functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

import bce_conformance
from bce_conformance.backends.calls import (
    DTYPES,
    Array,
    BackendInfo,
    Device,
    LossCall,
)

from .base import (
    Adapter,
    check_arguments,
    gradients_wanted,
    instance_of,
)

# From so many logits on, gradients go where those of the last call went, as in a training loop:
# fresh memory of this size costs as much as the evaluation.
_REUSED = 100_000


def _like(operand: Array, logits: Array) -> Array:
    """Memory for the gradient in ``operand``: of the logits' format where that has none."""
    dtype = logits.dtype if operand.dtype.kind in "biu" else operand.dtype
    return np.empty(operand.shape, dtype.newbyteorder("="))


class NativeAdapter(Adapter):
    """The native implementation on NumPy arrays."""

    framework = "native"
    extensions: ClassVar[tuple[str, ...]] = ("forms", "interface", "arguments", "threads")
    dispatch: ClassVar[tuple[str, ...]] = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")

    def module(self) -> ModuleType:
        """Import the native implementation."""
        from bce_conformance import native

        return native

    def version(self) -> str:
        """Return the version of this package."""
        return bce_conformance.__version__

    def info(self) -> BackendInfo:
        """Describe the backend, without compiling anything: it takes every format."""
        return BackendInfo(
            id=self.framework,
            framework=self.framework,
            version=self.version(),
            devices=self.devices(),
            dtypes=DTYPES,
            composed=self.composed,
            instruction_set=self.instruction_set(),
        )

    def prepare(self) -> None:
        """Compile the kernels, once a machine."""
        from bce_conformance.native.warmup import compile_all

        compile_all()

    def devices(self) -> tuple[Device, ...]:
        """List the CPU, the only device so far."""
        return (Device("cpu", "cpu"),)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``."""
        native = self.module()
        tensors = self.place_all(call)
        pair = (tensors["logits"], tensors["targets"])
        options: tuple[Any, ...] = (
            tensors.get("weight"),
            tensors.get("pos_weight"),
            call.reduction,
        )
        forward = partial(native.jacobian_vector_product, *pair, call.tangent, *options)
        second_order = partial(native.hessian_vector_product, *pair, call.tangent, *options)
        evaluate, differentiate = native.binary_cross_entropy_with_logits, native.value_and_grad
        if call.interface == "class":
            evaluate = instance_of(native.BCEWithLogitsLoss, call, tensors)
            differentiate, options = evaluate.value_and_grad, ()
        else:
            check_arguments(evaluate, call)
        wanted = gradients_wanted(call)
        reused = {}
        # The next call writes over it: not where results of several calls are compared.
        if call.logits.size >= _REUSED and not call.forms and call.repetition == "once":
            reused["out"] = {name: _like(tensors[name], call.logits) for name in wanted}

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            if wanted:
                raw["loss"], gradients = differentiate(
                    *pair, *options, wrt=wanted, cotangent=call.cotangent, **reused
                )
                raw.update({f"grad_{name}": array for name, array in gradients.items()})
            elif "loss" in call.quantities:
                raw["loss"] = evaluate(*pair, *options)
            if "hvp_logits" in call.quantities:
                raw["hvp_logits"] = second_order(cotangent=call.cotangent)
            if "jvp_logits" in call.quantities:
                raw["jvp_logits"] = forward()
            return {quantity: raw[quantity] for quantity in call.quantities}

        return thunk

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` itself."""
        return array

    def set_threads(self, count: int) -> int:
        """Set the threads of the kernels."""
        from bce_conformance.native.memory import threads

        before = threads.num_threads()
        threads.set_num_threads(count)
        return before

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor``, which is an array already."""
        return np.asarray(tensor)

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``."""
        return "cpu"
