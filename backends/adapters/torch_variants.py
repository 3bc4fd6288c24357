"""PyTorch by its other public interfaces: a module, ``vmap``, ``autocast`` and TorchScript."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from bce_conformance.backends.calls import REDUCTIONS, LossCall, UnsupportedCall

from .base import loss_of_logits
from .torch import TorchAdapter


class TorchModuleAdapter(TorchAdapter):
    """``torch.nn.BCEWithLogitsLoss``, made once for a call and then called as a module."""

    variant = "module"
    extensions: ClassVar[tuple[str, ...]] = ("forms", "arguments", "threads")

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the module as a function of the logits alone."""
        return super().loss_of(replace(call, interface="class"), tensors)


class TorchVmapAdapter(TorchAdapter):
    """The function of one element under ``torch.func.vmap``; reductions are composed."""

    variant = "vmap"
    composed: ClassVar[tuple[str, ...]] = ("reduction",)
    extensions: ClassVar[tuple[str, ...]] = ("threads",)

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone, vectorised over all elements."""
        torch, function = self.module(), self.function()
        if call.reduction not in REDUCTIONS:
            raise UnsupportedCall("vmap takes losses of elements, which have no reduction")
        names = [name for name in ("targets", "weight", "pos_weight") if name in tensors]
        given = ["target" if name == "targets" else name for name in names]

        def element(logit: Any, *others: Any) -> Any:
            return function(logit, **dict(zip(given, others, strict=True)), reduction="none")

        reduced = {"none": lambda loss: loss, "mean": torch.mean, "sum": torch.sum}[call.reduction]

        def loss(logits: Any) -> Any:
            each = [torch.broadcast_to(tensors[name], logits.shape) for name in names]
            flat = [tensor.reshape(-1) for tensor in (logits, *each)]
            return reduced(torch.func.vmap(element)(*flat).reshape(logits.shape))

        return loss


class TorchAutocastBfloat16Adapter(TorchAdapter):
    """The function in the context ``torch.autocast``; gradients are taken outside of it."""

    variant = "autocast-bfloat16"
    extensions: ClassVar[tuple[str, ...]] = ("forms", "arguments", "threads")
    lower: ClassVar[str] = "bfloat16"

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone, with autocast on."""
        return self.autocast(super().loss_of(call, tensors), call, self.lower)


class TorchAutocastFloat16Adapter(TorchAutocastBfloat16Adapter):
    """The same with float16 as the lower format."""

    variant = "autocast-float16"
    lower: ClassVar[str] = "float16"


class TorchJitAdapter(TorchAdapter):
    """TorchScript, which PyTorch has deprecated: the function by ``torch.jit.script``."""

    variant = "jit"
    extensions: ClassVar[tuple[str, ...]] = ("threads",)
    _script: Callable[..., Any] | None = None

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone, scripted."""
        script = self._script = self._script or self.module().jit.script(self.function())

        def scripted(logits: Any, targets: Any, **options: Any) -> Any:
            return script(logits, targets, **options)

        return loss_of_logits(call, tensors, scripted, self.criterion())
