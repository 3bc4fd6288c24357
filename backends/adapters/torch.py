"""PyTorch: ``torch.nn.functional.binary_cross_entropy_with_logits``, eager and compiled.

Everything is the framework's own. bfloat16 crosses as its 16 bits, which NumPy and torch can both
reinterpret without a conversion.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.array_memory import surroundings
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

INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"
_VECTOR = 16  # bytes: of the shortest vectors, at which arrays of their own begin


class TorchAdapter(Adapter):
    """Eager PyTorch."""

    framework = "torch"
    extensions: ClassVar[tuple[str, ...]] = (
        *("forms", "interface", "arguments"),
        *("threads", "autograd", "mode"),
    )
    dispatch: ClassVar[tuple[str, ...]] = ("ATEN_CPU_CAPABILITY",)

    def module(self) -> ModuleType:
        """Import torch."""
        import torch

        return torch  # type: ignore[no-any-return,unused-ignore]

    def devices(self) -> tuple[Device, ...]:
        """List the CPU and the CUDA devices that are present."""
        cuda = self.module().cuda
        count = cuda.device_count() if cuda.is_available() else 0
        names = (Device(numbered("cuda", i), cuda.get_device_name(i)) for i in range(count))
        return (Device("cpu", "cpu"), *names)

    def function(self) -> Callable[..., Any]:
        """Return the loss function."""
        return self.module().nn.functional.binary_cross_entropy_with_logits  # type: ignore[no-any-return]

    def criterion(self) -> Callable[..., Any]:
        """Return the class."""
        return self.module().nn.BCEWithLogitsLoss  # type: ignore[no-any-return]

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone."""
        loss = loss_of_logits(call, tensors, self.function(), self.criterion())
        return self.autocast(loss, call, "bfloat16") if call.mode == "autocast" else loss

    def autocast(
        self, loss: Callable[[Any], Any], call: LossCall, dtype: str
    ) -> Callable[[Any], Any]:
        """Return a loss that is evaluated under autocast, with a lower format to choose."""
        torch, kind = self.module(), call.device.partition(":")[0]

        def evaluated(logits: Any) -> Any:
            with torch.autocast(kind, dtype=getattr(torch, dtype)):
                return loss(logits)

        return evaluated

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` on its device and synchronises."""
        torch = self.module()
        tensors = self.place_all(call)
        wanted = gradients_wanted(call)
        if call.autograd in ("forward", "twice"):
            return partial(self.quantity_by_quantity, call, tensors)
        for name in wanted:
            tensors[name].requires_grad_()
        logits, tangent, cotangent = (
            tensors["logits"],
            tensors.get("tangent"),
            tensors.get("cotangent"),
        )

        loss_of = self.loss_of(call, tensors)

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            if call.autograd == "off":
                with torch.inference_mode():
                    raw["loss"] = loss_of(logits)
            elif "loss" in call.quantities or wanted:
                raw["loss"] = loss_of(logits)
            if wanted:
                ones = torch.ones_like(raw["loss"]) if cotangent is None else cotangent
                operands = [tensors[name] for name in wanted]
                if call.autograd == "interleaved":
                    loss_of((-logits.detach()).requires_grad_(logits.requires_grad))
                    evaluate_another(self, call, torch.Tensor.requires_grad_)
                backward = partial(
                    self.gradients, operands=operands, cotangent=ones, autograd=call.autograd
                )
                if call.autograd == "overwritten":
                    found = gradients_of_overwritten(self, call, tensors, loss_of, backward)
                else:
                    found = backward(raw["loss"])
                raw.update({f"grad_{name}": g for name, g in zip(wanted, found, strict=True)})
            if "hvp_logits" in call.quantities:
                raw["hvp_logits"] = self.second(loss_of, logits.detach(), tangent, cotangent)
            if "jvp_logits" in call.quantities:
                raw["jvp_logits"] = self.forward(loss_of, logits.detach(), tangent)
            if call.device != "cpu":
                torch.cuda.synchronize(call.device)
            return {quantity: raw[quantity] for quantity in call.quantities}

        return thunk

    def quantity_by_quantity(self, call: LossCall, tensors: dict[str, Any]) -> dict[str, Any]:
        """Return the quantities of a call by dual numbers, or by differentiating backward passes.

        Raises:
            UnsupportedCall: dual numbers are asked for a gradient that is not as large as the loss.
        """
        evaluate = self.carried if call.autograd == "forward" else self.differentiated
        raw = {q: evaluate(q, call, tensors) for q in call.quantities}
        if call.device != "cpu":
            self.module().cuda.synchronize(call.device)
        return raw

    def carried(self, quantity: str, call: LossCall, tensors: dict[str, Any]) -> Any:
        """Return one quantity by dual numbers; a gradient is the derivative along the cotangent."""
        name = quantity.partition("_")[2] or "logits"
        loss_of, operand = self.loss_in(name, call, tensors), tensors[name].detach()
        tangent, cotangent = tensors.get("tangent"), tensors.get("cotangent")
        if quantity == "loss":
            return loss_of(operand)
        if quantity == "jvp_logits":
            return self.derivative(loss_of, operand, tangent)
        if quantity == "hvp_logits":
            gradient = partial(self.gradient, loss_of, cotangent)
            return self.derivative(gradient, operand, tangent)
        if call.reduction != "none" or operand.numel() != call.logits.size:
            raise UnsupportedCall("dual numbers give gradients that are as large as the loss")
        ones = self.module().ones_like(operand)
        along = ones if cotangent is None else cotangent.reshape(operand.shape)
        found = self.derivative(loss_of, operand, along)
        return None if found is None else found.reshape(operand.shape)

    def differentiated(self, quantity: str, call: LossCall, tensors: dict[str, Any]) -> Any:
        """Return one quantity by differentiating a backward pass; None where it has no part."""
        torch, name = self.module(), quantity.partition("_")[2]
        tangent, cotangent = tensors.get("tangent"), tensors.get("cotangent")
        logits, operand = tensors["logits"].detach(), None
        if quantity in ("grad_targets", "grad_weight", "grad_pos_weight"):
            operand = tensors[name].detach().requires_grad_()
            tensors = {**tensors, name: operand}
        loss_of = self.loss_of(call, tensors)
        if quantity == "loss":
            return loss_of(logits)
        if quantity in ("grad_logits", "hvp_logits"):
            return self.second(loss_of, logits, tangent, cotangent)
        if quantity == "jvp_logits":
            # At zero, as torch.autograd.functional.jvp does.
            operand = cotangent = torch.zeros_like(loss_of(logits)).requires_grad_()
        gradient = self.gradient(loss_of, cotangent, logits)
        return torch.autograd.grad(gradient, operand, tangent, allow_unused=True)[0]

    def loss_in(self, name: str, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of one operand."""
        if name == "logits":
            return self.loss_of(call, tensors)
        return lambda operand: self.loss_of(call, {**tensors, name: operand})(tensors["logits"])

    def derivative(self, function: Callable[[Any], Any], at: Any, along: Any) -> Any:
        """Return the derivative of a function by dual numbers; None where it drops them."""
        dual = self.module().autograd.forward_ad
        with dual.dual_level():
            return dual.unpack_dual(function(dual.make_dual(at, along))).tangent

    def gradient(self, loss_of: Callable[[Any], Any], cotangent: Any, logits: Any) -> Any:
        """Return the gradient in the logits, which are tracked, to be differentiated again."""
        torch = self.module()
        logits = logits.requires_grad_()
        loss = loss_of(logits)
        ones = torch.ones_like(loss) if cotangent is None else cotangent
        return torch.autograd.grad(loss, logits, ones, create_graph=True)[0]

    def gradients(
        self, loss: Any, operands: list[Any], cotangent: Any, autograd: str
    ) -> Sequence[Any]:
        """Return the gradients of ``loss`` by the backward pass that a call asks for."""
        torch = self.module()
        if autograd in ("retained", "accumulated"):
            other = torch.full_like(cotangent, 0.5)
            found = torch.autograd.grad(loss, operands, other, retain_graph=True, allow_unused=True)
            for operand, earlier in zip(operands, found, strict=True):
                # Numbers that are added to −0 keep their bits.
                operand.grad = None if earlier is None else torch.full_like(earlier, -0.0)
        if autograd != "accumulated":
            return torch.autograd.grad(loss, operands, cotangent, allow_unused=True)  # type: ignore[no-any-return,unused-ignore]
        torch.autograd.backward(loss, cotangent, inputs=operands)
        return [operand.grad for operand in operands]

    def assign(self, tensor: Any, values: Any) -> None:
        """Write numbers, or truth values, into a tensor."""
        torch = self.module()
        with torch.no_grad():
            tensor.copy_(torch.as_tensor(values))

    @contextlib.contextmanager
    def in_mode(self, name: str) -> Iterator[None]:
        """Set PyTorch to deterministic algorithms, or to another default format.

        Autocast is not for backward passes: ``loss_of`` sees to it.
        """
        torch = self.module()
        dtype = torch.get_default_dtype()
        deterministic = torch.are_deterministic_algorithms_enabled()
        try:
            if name == "deterministic":
                torch.use_deterministic_algorithms(True)
            elif name != "autocast":
                torch.set_default_dtype(getattr(torch, name))
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.use_deterministic_algorithms(deterministic)

    def forward(self, loss_of: Callable[[Any], Any], logits: Any, tangent: Any) -> Any:
        """Return the derivative of the loss along ``tangent`` by forward mode."""
        return self.module().func.jvp(loss_of, (logits,), (tangent,))[1]

    def second(
        self, loss_of: Callable[[Any], Any], logits: Any, tangent: Any, cotangent: Any
    ) -> Any:
        """Return the derivative of the gradient along ``tangent`` by differentiating twice."""
        gradient = self.gradient(loss_of, cotangent, logits)
        return self.module().autograd.grad(gradient, logits, tangent, allow_unused=True)[0]

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor on ``device``: on the CPU over the same memory.

        One with gaps or in another order is a view of a larger tensor, as users have them, and so
        is a dense one that begins within a vector.
        """
        torch = self.module()
        if any(stride < 0 for stride in array.strides):
            raise UnsupportedCall("torch has no tensors with negative strides")
        if any(stride % array.itemsize for stride in array.strides):
            raise UnsupportedCall("torch has no tensors with steps of parts of an element")
        if array.dtype == BFLOAT16:
            return self.place(array.view(np.int16), device).view(torch.bfloat16)
        whole = array.flags.c_contiguous and array.ctypes.data % _VECTOR == 0
        around = None if whole else surroundings(array)
        if around is None:
            return torch.from_numpy(array).to(device)
        memory, first = around
        steps = [stride // array.itemsize for stride in array.strides]
        return torch.from_numpy(memory).as_strided(array.shape, steps, first).to(device)

    def set_threads(self, count: int) -> int:
        """Set the threads of torch's own loops."""
        torch = self.module()
        before: int = torch.get_num_threads()
        torch.set_num_threads(count)
        return before

    def settings(self) -> dict[str, Any]:
        """Return modes, formats and random numbers, which every call must leave as they are."""
        torch = self.module()
        return super().settings() | {
            "torch's random numbers": torch.get_rng_state().numpy().tobytes(),
            "whether torch records gradients": torch.is_grad_enabled(),
            "torch's default format": torch.get_default_dtype(),
            "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        }

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        torch = self.module()
        tensor = tensor.detach().cpu().contiguous()
        if tensor.dtype == torch.bfloat16:
            return np.asarray(tensor.view(torch.int16).numpy()).view(BFLOAT16)
        return np.asarray(tensor.numpy())

    def device_of(self, tensor: Any) -> str:
        """Return ``cpu``, ``cuda``, ``cuda:1`` or the like."""
        return numbered(tensor.device.type, tensor.device.index or 0)


def keep_code_apart(capability: str) -> None:
    """Let torch.compile keep its code in a folder for one kind of vector unit.

    PyTorch 2.13.0 takes up code that it made for another one, and then crashes: the keys of its
    cache leave ``ATEN_CPU_CAPABILITY`` out.

    Args:
        capability: as ATen names it, such as ``AVX2``.
    """
    folder, suffix = os.environ.get(INDUCTOR_CACHE), f"-{capability.lower()}"
    if folder is None:
        folder = os.path.join(tempfile.gettempdir(), f"torchinductor_{_user()}")
    if not folder.endswith(suffix):
        os.environ[INDUCTOR_CACHE] = folder + suffix


def _user() -> str:
    """Who runs this, by name; the number of a user that has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # before Python 3.13 it was a KeyError
        return str(os.getuid())


class TorchCompileAdapter(TorchAdapter):
    """PyTorch through ``torch.compile``, which needs a C++ compiler at run time.

    The gradients are autograd's through the compiled loss. Compiled code cannot be differentiated
    twice (https://github.com/pytorch/pytorch/issues/183603), nor by a transform from outside: the
    second derivative and forward mode are compiled transforms.
    """

    variant = "compile"
    extensions: ClassVar[tuple[str, ...]] = ("forms", "threads")
    _compiled: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, compiled anew for every new kind of arguments."""
        torch = self.module()
        if self._compiled is None:
            keep_code_apart(torch.backends.cpu.get_cpu_capability())
            # Beyond its default of 8 recompilations torch would fall back to eager silently.
            torch._dynamo.config.recompile_limit = 10_000
            torch._dynamo.config.accumulated_recompile_limit = 10_000
            self._compiled = lru_cache(partial(torch.compile, fullgraph=True))
        return self._compiled(function)

    def function(self) -> Callable[..., Any]:
        """Return the loss function, compiled."""
        return self.compiled(super().function())

    def _takes(self, dtype: str) -> bool:
        """Whether torch takes a format: to compile for each to learn it takes a quarter minute."""
        return TorchAdapter()._takes(dtype)

    def forward(self, loss_of: Callable[[Any], Any], logits: Any, tangent: Any) -> Any:
        """Return the derivative of the loss along ``tangent`` by compiled forward mode."""
        return self.compiled(super().forward)(loss_of, logits, tangent)

    def second(
        self, loss_of: Callable[[Any], Any], logits: Any, tangent: Any, cotangent: Any
    ) -> Any:
        """Return the derivative of the gradient along ``tangent``: forward over reverse mode."""
        ones = self.module().ones_like(loss_of(logits)) if cotangent is None else cotangent
        return self.compiled(_second)(loss_of, logits, tangent, ones)


def _second(loss_of: Callable[[Any], Any], logits: Any, tangent: Any, cotangent: Any) -> Any:
    import torch

    def gradient(logits: Any) -> Any:
        return torch.func.vjp(loss_of, logits)[1](cotangent)[0]

    return torch.func.jvp(gradient, (logits,), (tangent,))[1]
