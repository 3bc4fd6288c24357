"""The native implementation of this package, through its public functions.

Arrays on the CPU are NumPy's and those on CUDA devices Numba's, which they are with
``NUMBA_ENABLE_CUDASIM=1`` too: the kernels then run in Numba's simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
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
    numbered,
)

# From so many logits on, gradients go where those of the last call went, as in a training loop:
# fresh memory of this size costs as much as the evaluation.
_REUSED = 100_000


def _like(operand: Array, logits: Array) -> Array:
    """Memory for the gradient in ``operand``: of the logits' format where that has none."""
    dtype = logits.dtype if operand.dtype.kind in "biu" else operand.dtype
    return np.empty(operand.shape, dtype.newbyteorder("="))


class NativeAdapter(Adapter):
    """The native implementation on arrays of NumPy, and of Numba on CUDA devices."""

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
            notes=_gpus()[1],
        )

    def prepare(self) -> None:
        """Compile the kernels: those for the CPU once a machine, those for CUDA once a process."""
        from bce_conformance.native import warmup

        warmup.compile_all()
        for index in range(len(gpus())):
            with _current(numbered("cuda", index)):
                warmup.compile_for_device()

    def devices(self) -> tuple[Device, ...]:
        """List the CPU and the CUDA devices that Numba can compile for."""
        names = (Device(numbered("cuda", i), name) for i, name in enumerate(gpus()))
        return (Device("cpu", "cpu"), *names)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        bound = self._bind(call)
        if call.device == "cpu":
            return bound
        from numba import cuda

        def thunk() -> dict[str, Any]:
            with _current(call.device):
                raw = bound()
                cuda.synchronize()
            return raw

        return thunk

    def _bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        native = self.module()
        tensors = self.place_all(call)
        pair = (tensors["logits"], tensors["targets"])
        tangent, cotangent = tensors.get("tangent"), tensors.get("cotangent")
        options: tuple[Any, ...] = (
            tensors.get("weight"),
            tensors.get("pos_weight"),
            call.reduction,
        )
        forward = partial(native.jacobian_vector_product, *pair, tangent, *options)
        second_order = partial(native.hessian_vector_product, *pair, tangent, *options)
        evaluate, differentiate = native.binary_cross_entropy_with_logits, native.value_and_grad
        if call.interface == "class":
            evaluate = instance_of(native.BCEWithLogitsLoss, call, tensors)
            differentiate, options = evaluate.value_and_grad, ()
        else:
            check_arguments(evaluate, call)
        wanted = gradients_wanted(call)
        reused = {}
        # The next call writes over it: not where results of several calls are compared.
        large = call.logits.size >= _REUSED and call.device == "cpu"
        if large and not call.forms and call.repetition == "once":
            reused["out"] = {name: _like(tensors[name], call.logits) for name in wanted}

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            if wanted:
                raw["loss"], gradients = differentiate(
                    *pair, *options, wrt=wanted, cotangent=cotangent, **reused
                )
                raw.update({f"grad_{name}": array for name, array in gradients.items()})
            elif "loss" in call.quantities:
                raw["loss"] = evaluate(*pair, *options)
            if "hvp_logits" in call.quantities:
                raw["hvp_logits"] = second_order(cotangent=cotangent)
            if "jvp_logits" in call.quantities:
                raw["jvp_logits"] = forward()
            return {quantity: raw[quantity] for quantity in call.quantities}

        return thunk

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` itself, or a copy on ``device``: dense, but in the order of Fortran."""
        if device == "cpu":
            return array
        from bce_conformance.native.device.memory import to_device

        dense = array if array.flags.forc else np.ascontiguousarray(array)
        with _current(device):
            return to_device(dense)

    def set_threads(self, count: int) -> int:
        """Set the threads of the kernels."""
        from bce_conformance.native.memory import threads

        before = threads.num_threads()
        threads.set_num_threads(count)
        return before

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as an array of NumPy's."""
        if not _is_on_device(tensor):
            return np.asarray(tensor)
        from bce_conformance.native.device.memory import to_host

        return to_host(tensor)

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``, ``cuda``, ``cuda:1`` or the like."""
        if not _is_on_device(tensor):
            return "cpu"
        memory = getattr(tensor, "gpu_data", None)  # the simulator, which has one device, has none
        return numbered("cuda", memory.context.device.id if memory else 0)


def _nothing() -> None:
    pass


def gpus() -> tuple[str, ...]:
    """Return the names of the CUDA devices that Numba can compile for."""
    return _gpus()[0]


@lru_cache(maxsize=1)
def _gpus() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the CUDA devices, and else what a reader should know who misses them."""
    from numba import config, cuda

    if not cuda.is_available():
        if cuda.cuda_error():
            return (), ()
        return (), (
            "Numba finds a GPU's driver, and no NVVM to compile with: is CUDA's toolkit there?",
        )
    names = [getattr(gpu, "name", "Numba's simulator") for gpu in cuda.gpus]
    try:
        if not config.ENABLE_CUDASIM:
            cuda.compile(_nothing, ())
    except Exception as error:  # of the package numba-cuda, where it does not fit NumPy
        return (), (
            f"Numba finds a GPU, and cannot compile for it: {type(error).__name__}: {error}",
        )
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names), ()


def _current(device: str) -> AbstractContextManager[Any]:
    """Make a device the one that Numba works on."""
    if device == "cpu":
        return nullcontext()
    from numba import cuda

    _, _, index = device.partition(":")
    return cuda.gpus[int(index or 0)]  # type: ignore[no-any-return,unused-ignore]


def _is_on_device(tensor: Any) -> bool:
    """Whether an array is Numba's, on a CUDA device."""
    return hasattr(tensor, "copy_to_host")
