"""JAX: the loss composed in ``jax.nn``, as its users write it: eager, jitted, under ``vmap``.

JAX itself has no such loss, so all of it is composed: −(p·y·log σ(x) + (1 − y)·log σ(−x)), times
``weight``, then ``jax.numpy.mean`` or ``sum``. Derivatives are jax's own.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.calls import Array, Device, LossCall, UnsupportedCall

from .base import Adapter, numbered


class JaxAdapter(Adapter):
    """Eager JAX."""

    framework = "jax"
    dispatch: ClassVar[tuple[str, ...]] = ("XLA_FLAGS",)
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ("forms", "autograd")

    def module(self) -> ModuleType:
        """Import jax, with float64 allowed; other formats stay as they are."""
        import jax

        jax.config.update("jax_enable_x64", True)
        return jax  # type: ignore[no-any-return,unused-ignore]

    def devices(self) -> tuple[Device, ...]:
        """List the CPU and the CUDA devices that are present."""
        jax = self.module()
        found = jax.devices() if jax.default_backend() == "gpu" else []
        names = (Device(numbered("cuda", i), d.device_kind) for i, d in enumerate(found))
        return (Device("cpu", "cpu"), *names)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        if call.autograd not in ("usual", "forward", "twice"):
            raise UnsupportedCall(f"{self.framework} keeps no graph: autograd is {call.autograd!r}")
        jax, run = self.module(), self.function()
        arrays, device = self.place_all(call), self._device(call.device)
        settings = {"reduction": call.reduction, "quantities": call.quantities}
        if call.autograd != "usual":
            settings["autograd"] = call.autograd

        def thunk() -> dict[str, Any]:
            with jax.default_device(device):
                raw = run(arrays, **settings)
            return jax.block_until_ready(raw)  # type: ignore[no-any-return]

        return thunk

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a jax array on ``device``, which is dense whatever its layout."""
        return self.module().device_put(array, self._device(device))

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        return np.asarray(tensor)

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``, ``cuda``, ``cuda:1`` or the like."""
        (device,) = tensor.devices()
        kind = "cuda" if device.platform == "gpu" else str(device.platform)
        return numbered(kind, device.id)

    def function(self) -> Callable[..., dict[str, Any]]:
        """Return what evaluates the wanted quantities of arrays."""
        return self._evaluate

    def elementwise(self, logits: Any, targets: Any, pos_weight: Any) -> Any:
        """Return the unreduced, unweighted loss."""
        nn = self.module().nn
        positive = targets if pos_weight is None else pos_weight * targets
        return -positive * nn.log_sigmoid(logits) - (1 - targets) * nn.log_sigmoid(-logits)

    def _device(self, name: str) -> Any:
        kind, _, index = name.partition(":")
        return self.module().devices("cpu" if kind == "cpu" else "gpu")[int(index or 0)]

    def _loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        jnp = self.module().numpy
        reductions = {"none": lambda v: v, "mean": jnp.mean, "sum": jnp.sum}
        if reduction not in reductions:
            raise UnsupportedCall(f"{self.framework} has no loss with a reduction argument")
        loss = self.elementwise(arrays["logits"], arrays["targets"], arrays.get("pos_weight"))
        if "weight" in arrays:
            loss = arrays["weight"] * loss
        return reductions[reduction](loss)

    def _evaluate(
        self,
        arrays: dict[str, Any],
        *,
        reduction: str,
        quantities: tuple[str, ...],
        autograd: str = "usual",
    ) -> dict[str, Any]:
        if autograd != "usual":
            evaluate = self._along if autograd == "forward" else self._of_gradient
            return {q: evaluate(q, arrays, reduction) for q in quantities}
        jax = self.module()
        wanted = [q.removeprefix("grad_") for q in quantities if q.startswith("grad_")]

        def loss_of(operands: dict[str, Any]) -> Any:
            return self._loss({**arrays, **operands}, reduction)

        def gradients(operands: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            loss, pull_back = jax.vjp(loss_of, operands)
            ones = jax.numpy.ones_like(loss)
            # A wider operand makes the loss wider, and a cotangent must be of its format.
            return loss, pull_back(arrays.get("cotangent", ones).astype(loss.dtype))[0]

        raw: dict[str, Any] = {}
        logits = {"logits": arrays["logits"]}
        tangent = {"logits": arrays.get("tangent")}
        if wanted:
            raw["loss"], found = gradients({name: arrays[name] for name in wanted})
            # The gradient of an integer operand is of type float0 in jax: there is none.
            float0 = jax.dtypes.float0
            raw.update({f"grad_{k}": None if g.dtype == float0 else g for k, g in found.items()})
        elif "loss" in quantities:
            raw["loss"] = loss_of({})
        if "jvp_logits" in quantities:
            _, raw["jvp_logits"] = jax.jvp(loss_of, (logits,), (tangent,))
        if "hvp_logits" in quantities:
            _, along = jax.jvp(lambda operands: gradients(operands)[1], (logits,), (tangent,))
            raw["hvp_logits"] = along["logits"]
        return {quantity: raw[quantity] for quantity in quantities}

    def _along(self, quantity: str, arrays: dict[str, Any], reduction: str) -> Any:
        """Return a quantity by forward mode; a gradient is the derivative along the cotangent."""
        if not quantity.startswith("grad_"):
            return self._evaluate(arrays, reduction=reduction, quantities=(quantity,))[quantity]
        jax, name = self.module(), quantity.removeprefix("grad_")
        operand = arrays[name]
        if reduction != "none" or operand.size != arrays["logits"].size:
            raise UnsupportedCall("forward mode gives gradients that are as large as the loss")
        along = arrays.get("cotangent", jax.numpy.ones_like(operand))
        along = along.reshape(operand.shape).astype(operand.dtype)

        def loss_of(value: Any) -> Any:
            return self._loss({**arrays, name: value}, reduction)

        return jax.jvp(loss_of, (operand,), (along,))[1].reshape(operand.shape)

    def _of_gradient(self, quantity: str, arrays: dict[str, Any], reduction: str) -> Any:
        """Return a quantity by differentiating the pull-back that gives the gradient."""
        jax = self.module()
        if quantity == "loss":
            return self._loss(arrays, reduction)
        name = "logits" if quantity == "hvp_logits" else quantity.removeprefix("grad_")
        if quantity == "jvp_logits":
            name = "cotangent"
            arrays = {**arrays, name: jax.numpy.ones_like(self._loss(arrays, reduction))}

        def gradient(value: Any) -> Any:
            given = {**arrays, name: value}

            def loss_of(logits: Any) -> Any:
                return self._loss({**given, "logits": logits}, reduction)

            loss, pull_back = jax.vjp(loss_of, given["logits"])
            cotangent = given.get("cotangent", jax.numpy.ones_like(loss))
            return pull_back(cotangent.astype(loss.dtype))[0]

        return jax.vjp(gradient, arrays[name])[1](arrays["tangent"])[0]


class JaxJitAdapter(JaxAdapter):
    """JAX under ``jax.jit``, loss and derivatives as one function."""

    variant = "jit"
    _compiled: Callable[..., dict[str, Any]] | None = None

    def function(self) -> Callable[..., dict[str, Any]]:
        """Return the compiled function, traced anew for every kind of arguments."""
        if self._compiled is None:
            self._compiled = self.module().jit(
                self._evaluate, static_argnames=("reduction", "quantities", "autograd")
            )
        return self._compiled


class JaxVmapAdapter(JaxAdapter):
    """JAX with the loss of one element under ``jax.vmap``."""

    variant = "vmap"

    def elementwise(self, logits: Any, targets: Any, pos_weight: Any) -> Any:
        """Return the unreduced, unweighted loss, vectorised over all elements."""
        jnp = self.module().numpy
        given = [operand for operand in (logits, targets, pos_weight) if operand is not None]
        flat = [jnp.broadcast_to(operand, logits.shape).ravel() for operand in given]
        element = super().elementwise

        def one(logit: Any, target: Any, factor: Any = None) -> Any:
            return element(logit, target, factor)

        return self.module().vmap(one)(*flat).reshape(logits.shape)
