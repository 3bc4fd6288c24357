"""TensorFlow: ``tf.nn.sigmoid_cross_entropy_with_logits`` and its weighted sister.

Eager, as a graph by ``tf.function``, and as one that XLA compiles.

``pos_weight`` is ``tf.nn.weighted_cross_entropy_with_logits``, the framework's own. ``weight`` and
``reduction`` are composed as its users do: a product, then ``tf.reduce_mean`` or ``tf.reduce_sum``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.calls import Array, Device, LossCall, UnsupportedCall

from .base import Adapter, numbered


class TensorflowAdapter(Adapter):
    """Eager TensorFlow."""

    framework = "tensorflow"
    dispatch: ClassVar[tuple[str, ...]] = ("ONEDNN_MAX_CPU_ISA",)
    composed: ClassVar[tuple[str, ...]] = ("weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ("forms", "autograd")

    def module(self) -> ModuleType:
        """Import tensorflow."""
        import tensorflow

        return tensorflow  # type: ignore[no-any-return,unused-ignore]

    def devices(self) -> tuple[Device, ...]:
        """List the CPU and the CUDA devices that are present."""
        config = self.module().config
        details = map(config.experimental.get_device_details, config.list_physical_devices("GPU"))
        names = (str(found.get("device_name", "GPU")) for found in details)
        return (
            Device("cpu", "cpu"),
            *(Device(numbered("cuda", i), name) for i, name in enumerate(names)),
        )

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        if call.autograd not in ("usual", "forward", "twice"):
            raise UnsupportedCall(f"{self.framework} keeps no graph: autograd is {call.autograd!r}")
        tf, run = self.module(), self.function()
        tensors = self.place_all(call)
        settings = {"reduction": call.reduction, "quantities": call.quantities}
        if call.autograd != "usual":
            settings["autograd"] = call.autograd

        def thunk() -> dict[str, Any]:
            with tf.device(_tensorflow_device(call.device)):
                raw: dict[str, Any] = run(tensors, **settings)
            if call.device != "cpu":
                tf.test.experimental.sync_devices()
            return raw

        return thunk

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor on ``device``, which is dense whatever its layout."""
        tf = self.module()
        with tf.device(_tensorflow_device(device)):
            return tf.constant(array)

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        return np.asarray(tensor.numpy())

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``, ``cuda``, ``cuda:1`` or the like."""
        kind, index = tensor.device.split(":")[-2:]  # of /job:localhost/…/device:GPU:1
        return numbered("cuda" if kind == "GPU" else kind.lower(), int(index))

    def function(self) -> Callable[..., dict[str, Any]]:
        """Return what evaluates the wanted quantities of tensors."""
        return self._evaluate

    def elementwise(self, logits: Any, targets: Any, pos_weight: Any) -> Any:
        """Return the unreduced, unweighted loss."""
        nn = self.module().nn
        if pos_weight is None:
            return nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
        return nn.weighted_cross_entropy_with_logits(
            labels=targets, logits=logits, pos_weight=pos_weight
        )

    def _evaluate(
        self,
        tensors: dict[str, Any],
        *,
        reduction: str,
        quantities: tuple[str, ...],
        autograd: str = "usual",
    ) -> dict[str, Any]:
        if autograd != "usual":
            evaluate = self._along if autograd == "forward" else self._of_gradient
            return {q: evaluate(q, tensors, reduction) for q in quantities}
        tf = self.module()
        logits, cotangent = tensors["logits"], tensors.get("cotangent")
        wanted = [q.removeprefix("grad_") for q in quantities if q.startswith("grad_")]
        raw: dict[str, Any] = {}
        with tf.GradientTape() as tape:
            tape.watch([tensors[name] for name in wanted])
            raw["loss"] = self._loss(tensors, reduction)
        if wanted:
            sources = [tensors[name] for name in wanted]
            found = tape.gradient(raw["loss"], sources, output_gradients=cotangent)
            raw.update({f"grad_{name}": g for name, g in zip(wanted, found, strict=True)})
        if "jvp_logits" in quantities:
            with tf.autodiff.ForwardAccumulator(logits, tensors["tangent"]) as accumulator:
                loss = self._loss(tensors, reduction)
            raw["jvp_logits"] = accumulator.jvp(loss)
        if "hvp_logits" in quantities:
            with tf.autodiff.ForwardAccumulator(logits, tensors["tangent"]) as accumulator:
                with tf.GradientTape() as inner:
                    inner.watch(logits)
                    loss = self._loss(tensors, reduction)
                gradient = inner.gradient(loss, logits, output_gradients=cotangent)
            raw["hvp_logits"] = accumulator.jvp(gradient)
        return {quantity: raw[quantity] for quantity in quantities}

    def _along(self, quantity: str, tensors: dict[str, Any], reduction: str) -> Any:
        """Return a quantity by forward mode; a gradient is the derivative along the cotangent."""
        if not quantity.startswith("grad_"):
            return self._evaluate(tensors, reduction=reduction, quantities=(quantity,))[quantity]
        tf, operand = self.module(), tensors[quantity.removeprefix("grad_")]
        if reduction != "none" or math.prod(operand.shape) != math.prod(tensors["logits"].shape):
            raise UnsupportedCall("forward mode gives gradients that are as large as the loss")
        along = tf.reshape(tensors.get("cotangent", tf.ones_like(operand)), operand.shape)
        with tf.autodiff.ForwardAccumulator(operand, along) as accumulator:
            loss = self._loss(tensors, reduction)
        found = accumulator.jvp(loss)
        return None if found is None else tf.reshape(found, operand.shape)

    def _of_gradient(self, quantity: str, tensors: dict[str, Any], reduction: str) -> Any:
        """Return a quantity by differentiating a gradient on a tape."""
        tf, logits, cotangent = self.module(), tensors["logits"], tensors.get("cotangent")
        if quantity == "loss":
            return self._loss(tensors, reduction)
        if quantity == "jvp_logits":
            source = cotangent = tf.ones_like(self._loss(tensors, reduction))
        else:
            source = tensors[_operand_of(quantity)]
        with tf.GradientTape() as outer:
            outer.watch(source)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                loss = self._loss(tensors, reduction)
            gradient = inner.gradient(loss, logits, output_gradients=cotangent)
        return outer.gradient(gradient, source, output_gradients=tensors["tangent"])

    def _loss(self, tensors: dict[str, Any], reduction: str) -> Any:
        tf = self.module()
        reductions = {"none": lambda v: v, "mean": tf.reduce_mean, "sum": tf.reduce_sum}
        if reduction not in reductions:
            raise UnsupportedCall(f"{self.framework}'s loss has no reduction argument")
        loss = self.elementwise(tensors["logits"], tensors["targets"], tensors.get("pos_weight"))
        if "weight" in tensors:
            loss = tensors["weight"] * loss
        return reductions[reduction](loss)


class TensorflowGraphAdapter(TensorflowAdapter):
    """TensorFlow's graph by ``tf.function``, loss and derivatives as one function."""

    variant = "function"
    xla: ClassVar[bool] = False
    _compiled: Callable[..., dict[str, Any]] | None = None

    def function(self) -> Callable[..., dict[str, Any]]:
        """Return the function as a graph, traced anew for every kind of arguments."""
        if self._compiled is None:
            self._compiled = self.module().function(self._evaluate, jit_compile=self.xla)
        return self._compiled


class TensorflowXlaAdapter(TensorflowGraphAdapter):
    """TensorFlow compiled by XLA, loss and derivatives as one function."""

    variant = "xla"
    dispatch: ClassVar[tuple[str, ...]] = ("XLA_FLAGS",)
    xla: ClassVar[bool] = True


def _operand_of(quantity: str) -> str:
    return "logits" if quantity == "hvp_logits" else quantity.removeprefix("grad_")


def _tensorflow_device(name: str) -> str:
    kind, _, index = name.partition(":")
    return f"/{'CPU' if kind == 'cpu' else 'GPU'}:{index or 0}"
