"""Paddle: ``paddle.nn.functional.binary_cross_entropy_with_logits``, dynamic and static.

Everything is the framework's own; it has no forward mode outside its experimental primitives.
bfloat16 crosses as its 16 bits: Paddle itself speaks of it to NumPy as uint16.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from bce_conformance.backends.adapter import (
    BFLOAT16,
    Adapter,
    arrays_of,
    gradients_wanted,
    numbered,
)
from bce_conformance.backends.calls import Array, Device, LossCall, LossResult, UnsupportedCall


class PaddleAdapter(Adapter):
    """Paddle in its dynamic mode."""

    framework = "paddle"

    def module(self) -> ModuleType:
        """Import paddle."""
        import paddle

        return paddle  # type: ignore[no-any-return,unused-ignore]

    def devices(self) -> tuple[Device, ...]:
        """List the CPU and the CUDA devices that are present."""
        device = self.module().device
        count = device.cuda.device_count() if device.is_compiled_with_cuda() else 0
        names = (Device(numbered("cuda", i), device.cuda.get_device_name(i)) for i in range(count))
        return (Device("cpu", "cpu"), *names)

    def function(self) -> Callable[..., Any]:
        """Return the loss function."""
        return self.module().nn.functional.binary_cross_entropy_with_logits  # type: ignore[no-any-return]

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        if "jvp_logits" in call.quantities:
            raise UnsupportedCall("paddle has no forward mode for this loss")
        paddle, function = self.module(), self.function()
        paddle.set_device(_paddle_device(self.require_device(call.device)))
        tensors = {name: _to_tensor(paddle, array) for name, array in arrays_of(call).items()}
        wanted = gradients_wanted(call)
        second = "hvp_logits" in call.quantities
        for name in {*wanted, "logits"} if second else wanted:
            tensors[name].stop_gradient = False
        cotangent = tensors.get("cotangent")

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            loss = function(
                tensors["logits"],
                tensors["targets"],
                weight=tensors.get("weight"),
                reduction=call.reduction,
                pos_weight=tensors.get("pos_weight"),
            )
            raw["loss"] = loss
            if wanted:
                operands = [tensors[name] for name in wanted]
                found = paddle.grad(
                    [loss], operands, [cotangent], retain_graph=second, allow_unused=True
                )
                raw.update({f"grad_{name}": g for name, g in zip(wanted, found, strict=True)})
            if second:
                logits = [tensors["logits"]]
                gradient = paddle.grad([loss], logits, [cotangent], create_graph=True)
                raw["hvp_logits"] = paddle.grad(
                    gradient, logits, [tensors["tangent"]], allow_unused=True
                )[0]
            if call.device != "cpu":
                paddle.device.synchronize()
            return {quantity: raw[quantity] for quantity in call.quantities}

        return thunk

    def fetch(self, raw: dict[str, Any]) -> LossResult:
        """Bring tensors to NumPy; a gradient that Paddle left out stays out."""
        paddle = self.module()
        tensors = {quantity: tensor for quantity, tensor in raw.items() if tensor is not None}
        devices = {"cuda" if t.place.is_gpu_place() else "cpu" for t in tensors.values()}
        values = {quantity: _to_numpy(paddle, tensor) for quantity, tensor in tensors.items()}
        return LossResult(values, "+".join(sorted(devices)))


class PaddleStaticAdapter(PaddleAdapter):
    """Paddle's static graph, by ``paddle.jit.to_static``."""

    variant = "static"
    _static: Callable[..., Any] | None = None

    def function(self) -> Callable[..., Any]:
        """Return the loss function as a static graph, traced anew for every kind of arguments."""
        if self._static is None:
            self._static = self.module().jit.to_static(super().function(), full_graph=True)
        return self._static


def _paddle_device(name: str) -> str:
    kind, _, index = name.partition(":")
    return "cpu" if kind == "cpu" else f"gpu:{index or 0}"


def _to_tensor(paddle: ModuleType, array: Array) -> Any:
    if array.dtype == np.uint16:  # Paddle would take it for bfloat16
        raise UnsupportedCall("paddle has no uint16")
    return paddle.to_tensor(array.view(np.uint16) if array.dtype == BFLOAT16 else array)


def _to_numpy(paddle: ModuleType, tensor: Any) -> Array:
    array = np.asarray(tensor.numpy())
    return array.view(BFLOAT16) if tensor.dtype == paddle.bfloat16 else array
