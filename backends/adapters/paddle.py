"""Paddle: ``paddle.nn.functional.binary_cross_entropy_with_logits``, dynamic and static.

Everything is the framework's own; it has no forward mode outside its experimental primitives.
bfloat16 crosses as its 16 bits: Paddle itself speaks of it to NumPy as uint16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.array_memory import memory_of
from bce_conformance.backends.calls import Array, Device, LossCall, UnsupportedCall

from .base import (
    BFLOAT16,
    Adapter,
    evaluate_another,
    gradients_of_overwritten,
    gradients_wanted,
    loss_of_logits,
    numbered,
)


class PaddleAdapter(Adapter):
    """Paddle in its dynamic mode."""

    framework = "paddle"
    dispatch: ClassVar[tuple[str, ...]] = ("ONEDNN_MAX_CPU_ISA",)
    extensions: ClassVar[tuple[str, ...]] = (
        *("forms", "interface", "arguments"),
        *("autograd", "mode"),
    )

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

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone."""
        criterion = self.module().nn.BCEWithLogitsLoss
        return loss_of_logits(call, tensors, self.function(), criterion)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        if "jvp_logits" in call.quantities or call.autograd == "forward":
            raise UnsupportedCall("paddle has no forward mode for this loss")
        if call.autograd == "twice":
            raise UnsupportedCall("paddle differentiates no backward pass of this loss")
        paddle = self.module()
        tensors = self.place_all(call)
        paddle.set_device(paddle_device(call.device))
        wanted = gradients_wanted(call)
        second = "hvp_logits" in call.quantities
        for name in {*wanted, "logits"} if second else wanted:
            tensors[name].stop_gradient = False
        cotangent = tensors.get("cotangent")
        loss_of = self.loss_of(call, tensors)

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            with paddle.no_grad() if call.autograd == "off" else nullcontext():
                raw["loss"] = loss = loss_of(tensors["logits"])
            if wanted:
                if call.autograd == "interleaved":
                    other = (-tensors["logits"]).detach()
                    other.stop_gradient = tensors["logits"].stop_gradient
                    loss_of(other)
                    evaluate_another(self, call, _tracked)
                operands = [tensors[name] for name in wanted]
                backward = partial(
                    self.gradients,
                    operands=operands,
                    cotangent=cotangent,
                    autograd=call.autograd,
                    kept=second,
                )
                if call.autograd == "overwritten":
                    found = gradients_of_overwritten(self, call, tensors, loss_of, backward)
                    loss = loss_of(tensors["logits"]) if second else None  # whose graph is whole
                else:
                    found = backward(loss)
                raw.update({f"grad_{name}": g for name, g in zip(wanted, found, strict=True)})
            if second:
                logits = [tensors["logits"]]
                gradient = paddle.grad([loss], logits, [cotangent], create_graph=True)
                raw["hvp_logits"] = paddle.grad(
                    gradient, logits, [tensors["tangent"]], allow_unused=True
                )[0]
            if call.device != "cpu":
                paddle.device.synchronize(paddle_device(call.device))
            return {quantity: raw[quantity] for quantity in call.quantities}

        return thunk

    def gradients(
        self, loss: Any, operands: list[Any], cotangent: Any, autograd: str, kept: bool
    ) -> list[Any]:
        """Return the gradients of ``loss`` by the backward pass that a call asks for.

        Args:
            loss: what is differentiated.
            operands: in what.
            cotangent: of the shape of ``loss``; None for ones.
            autograd: one of ``AUTOGRAD``.
            kept: whether the graph is needed afterwards.
        """
        paddle = self.module()
        differentiate = partial(paddle.grad, [loss], operands, allow_unused=True)
        if autograd in ("retained", "accumulated"):
            other = paddle.full_like(loss if cotangent is None else cotangent, 0.5)
            found = differentiate([other], retain_graph=True)
            for operand, earlier in zip(operands, found, strict=True):
                # Numbers that are added to −0 keep their bits.
                operand.grad = None if earlier is None else paddle.full_like(earlier, -0.0)
        if autograd != "accumulated":
            return differentiate([cotangent], retain_graph=kept)  # type: ignore[no-any-return,unused-ignore]
        paddle.autograd.backward([loss], [cotangent], retain_graph=kept)
        return [operand.grad for operand in operands]

    def assign(self, tensor: Any, values: Any) -> None:
        """Write numbers, or truth values, into a tensor."""
        paddle = self.module()
        with paddle.no_grad():
            paddle.assign(paddle.to_tensor(values).astype(tensor.dtype), tensor)

    @contextmanager
    def in_mode(self, name: str) -> Iterator[None]:
        """Set Paddle to another default format.

        Raises:
            UnsupportedCall: another mode is asked for: its deterministic flags are those of cuDNN.
        """
        if name in ("deterministic", "autocast"):
            raise UnsupportedCall(f"the adapter sets paddle to no mode {name} on the CPU")
        paddle = self.module()
        dtype = paddle.get_default_dtype()
        paddle.set_default_dtype(name)
        try:
            yield
        finally:
            paddle.set_default_dtype(dtype)

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor on ``device``, with its strides over a copy of memory."""
        paddle = self.module()
        if array.dtype == np.uint16:  # Paddle would take it for bfloat16
            raise UnsupportedCall("paddle has no uint16")
        if any(stride < 0 for stride in array.strides):
            raise UnsupportedCall("paddle has no tensors with negative strides")
        bits = array.view(np.uint16) if array.dtype == BFLOAT16 else array
        if bits.flags.c_contiguous or any(s % bits.itemsize for s in bits.strides):
            return paddle.to_tensor(bits, place=paddle_device(device))
        memory = paddle.to_tensor(memory_of(bits).view(bits.dtype), place=paddle_device(device))
        strides = [stride // bits.itemsize for stride in bits.strides]
        return paddle.as_strided(memory, list(bits.shape), strides)

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        array = np.asarray(tensor.numpy())
        return array.view(BFLOAT16) if tensor.dtype == self.module().bfloat16 else array

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``, ``cuda``, ``cuda:1`` or the like."""
        place = tensor.place
        return numbered("cuda", place.gpu_device_id()) if place.is_gpu_place() else "cpu"


def _tracked(tensor: Any) -> Any:
    tensor.stop_gradient = False
    return tensor


class PaddleStaticAdapter(PaddleAdapter):
    """Paddle's static graph, by ``paddle.jit.to_static``."""

    variant = "static"
    extensions: ClassVar[tuple[str, ...]] = ("forms",)
    _static: Callable[..., Any] | None = None

    def function(self) -> Callable[..., Any]:
        """Return the loss function as a static graph, traced anew for every kind of arguments."""
        if self._static is None:
            self._static = self.module().jit.to_static(super().function(), full_graph=True)
        return self._static


def paddle_device(name: str) -> str:
    """Paddle's name of a device: ``gpu:0`` of ``cuda``."""
    kind, _, index = name.partition(":")
    return "cpu" if kind == "cpu" else f"gpu:{index or 0}"
