"""What the adapters of users' functions share: loading, describing, and gradients of their own.

A class here stands before an adapter of a framework, which places arrays, differentiates and
fetches as it does for the framework's own loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, NoReturn

import numpy as np

from bce_conformance.backends.adapters.base import Adapter, gradients_wanted
from bce_conformance.backends.calls import DTYPES, OPERANDS, BackendInfo, LossCall, UnsupportedCall

from .composition import Composition, Returns, returned
from .gradient import OwnGradient
from .operations import Operations
from .signature import Signature, returning_arrays, signature
from .target import Loaded, Target, TargetError, line_in, load


class FunctionAdapter(Adapter):
    """The loss of a user's own function; subclasses name a framework's adapter as second base.

    Args:
        target: ``package.module:name`` or ``path.py:name``.
    """

    extensions: ClassVar[tuple[str, ...]] = ("forms",)

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = Target.parse(target)

    @property
    @abstractmethod
    def operations(self) -> Operations:
        """The framework's operations that composing takes."""

    def synchronise(self, raw: dict[str, Any], device: str) -> dict[str, Any]:
        """Wait until ``raw`` is computed, and return it."""
        return raw

    @cached_property
    def loaded(self) -> Loaded:
        """The user's function; the framework is imported first, from where it is installed."""
        self.module()
        return load(self._target)

    @cached_property
    def _signature(self) -> Signature:
        """How the function is called."""
        return signature(self.loaded.target, self.loaded.loss)

    @cached_property
    def loss(self) -> Composition:
        """The function with what it lacks composed."""
        read = self._signature
        called = returning_arrays(read.bound(self.loaded.loss), self.loaded.target.name)
        returns: Returns = "none"
        if "reduction" not in read.options:
            returns = self._returned(called)
        name = self.loaded.target.name
        return Composition(called, read.options, self.operations, returns, name)

    @cached_property
    def own_gradient(self) -> OwnGradient | None:
        """The user's own gradient; None where the framework differentiates the function."""
        backward = self.loaded.backward
        if backward is None:
            return None
        read = signature(self.loaded.target, backward, ("cotangent",))
        called = read.bound(backward)
        return OwnGradient(self.loss, called, read.options, self.loaded.backward_name)

    def _returned(self, loss: Callable[..., Any]) -> Returns:
        """What a function without a reduction does, in the first format of which it takes logits.

        ``none`` where there is no such format.
        """
        for dtype in dict.fromkeys(("float32", *DTYPES)):
            ones = super()._probe(dtype).logits
            labels = np.array([0, 1, 0]).astype(ones.dtype)
            with suppress(Exception):  # whatever it is, the probes of formats meet it too, and tell
                pair = [self.place(array, "cpu") for array in (0 * labels, labels)]
                return returned(loss, pair[0], pair[1], self.to_numpy)
        return "none"

    def info(self) -> BackendInfo:
        """Describe the function.

        Raises:
            TargetError: there is none, or it takes logits in no format.
        """
        composed, notes = self.loss.composed, tuple(self._notes())
        found = super().info()
        if not found.dtypes:
            self._refuse()
        return replace(found, composed=composed, notes=notes)

    def _probe(self, dtype: str) -> LossCall:
        reduction = self.loss.returns if self.loss.reduces else "mean"
        return replace(super()._probe(dtype), reduction=reduction)

    def _refuse(self) -> NoReturn:
        """Say why the function takes no logits.

        Raises:
            TargetError: so it is.
        """
        try:
            self.fetch(self.bind(self._probe("float32"))())
        except Exception as error:
            line = line_in(self._target.where, error)
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise TargetError(f"{self._target} takes logits in no format{line}: {text}") from error
        raise TargetError(f"{self._target} takes logits in no format")

    def _notes(self) -> list[str]:
        name = self.loaded.target.name
        notes = [f"composed: {', '.join(self.loss.composed)}"] if self.loss.composed else []
        if self._signature.swapped:
            notes.append("called with the targets first, as its arguments are named")
        if self.loss.reduces:
            notes.append(f"{name} returns a {self.loss.returns} alone: elements are unsupported")
        own = self.own_gradient
        notes += [f"gradients by {own.name}, and no second order or forward mode"] if own else []
        return notes

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` and synchronises.

        Raises:
            UnsupportedCall: it wants derivatives that the user's own gradient does not give.
        """
        wanted, own = gradients_wanted(call), self.own_gradient
        if own is not None and call.autograd in ("forward", "twice"):
            raise UnsupportedCall(f"{own.name} is a gradient: nothing differentiates it")
        beyond = {"jvp_logits", "hvp_logits"}.intersection(call.quantities)
        if own is None or not (wanted or beyond):
            return super().bind(call)  # type: ignore[safe-super]
        if beyond:
            raise UnsupportedCall(f"{own.name} is a gradient: there is no {', '.join(beyond)}")
        tensors = self.place_all(call)
        operands = {name: tensors[name] for name in OPERANDS if name in tensors}
        cotangent = tensors.get("cotangent")

        def thunk() -> dict[str, Any]:
            raw: dict[str, Any] = {}
            if "loss" in call.quantities:
                raw["loss"] = self.loss(**operands, reduction=call.reduction)
            found = own(operands, call.reduction, cotangent)
            lacking = [name for name in wanted if name not in found]
            if lacking:
                raise UnsupportedCall(f"{own.name} gives no gradient in {', '.join(lacking)}")
            raw.update({f"grad_{name}": found[name] for name in wanted})
            return self.synchronise({q: raw[q] for q in call.quantities}, call.device)

        return thunk
