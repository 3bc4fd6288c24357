"""What every adapter shares: its description, the devices it knows, the formats it really takes.

A format counts as taken when the framework evaluates a loss of one element in it: probed, never
believed. This module must never import a framework.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, TypeVar

import ml_dtypes
import numpy as np

from bce_conformance.backends import instruction_sets
from bce_conformance.backends.calls import (
    ARRAYS,
    DTYPES,
    OPERANDS,
    REDUCTIONS,
    Array,
    BackendInfo,
    Device,
    LossCall,
    LossResult,
    UnsupportedCall,
)

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_FEW = 1000  # elements: more than most blocks have
_UNDIFFERENTIABLE = "inplace operat"  # how PyTorch and Paddle say that operands have changed
_Gradients = TypeVar("_Gradients", bound=Sequence[Any])


class Adapter(ABC):
    """Base of the adapters: subclasses translate calls into one framework's own terms.

    Attributes:
        framework, variant, composed: as in ``BackendInfo``.
        extensions: the fields by which a call may ask for more than the evaluation of arrays.
        dispatch: the variables of the environment by which the framework's code for the CPU can be
            held to an instruction set.
    """

    framework: ClassVar[str]
    variant: ClassVar[str] = ""
    composed: ClassVar[tuple[str, ...]] = ()
    extensions: ClassVar[tuple[str, ...]] = ("forms",)
    dispatch: ClassVar[tuple[str, ...]] = ()
    _placed: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def module(self) -> ModuleType:
        """Import the framework, set it up once, and return it."""

    @abstractmethod
    def devices(self) -> tuple[Device, ...]:
        """List the devices that are present."""

    @abstractmethod
    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call`` and synchronises."""

    @abstractmethod
    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as the framework's own, bits unchanged, on ``device``.

        The framework's array has the layout of ``array`` where it knows such layouts.

        Raises:
            UnsupportedCall: users of the framework cannot hand it such an array.
        """

    @abstractmethod
    def to_numpy(self, tensor: Any) -> Array:
        """Return what the framework computed as a NumPy array, bits unchanged."""

    @abstractmethod
    def device_of(self, tensor: Any) -> str:
        """Return the device on which the framework left ``tensor``, as calls name it."""

    def fetch(self, raw: dict[str, Any]) -> LossResult:
        """Bring what the thunk returned to NumPy; what the framework left out stays out."""
        tensors = {quantity: tensor for quantity, tensor in raw.items() if tensor is not None}
        devices = sorted({self.device_of(tensor) for tensor in tensors.values()})
        values = {quantity: self.to_numpy(tensor) for quantity, tensor in tensors.items()}
        return LossResult(values, "+".join(devices))

    def version(self) -> str:
        """Return the framework's version."""
        return str(self.module().__version__)

    def info(self) -> BackendInfo:
        """Describe the backend; raises ImportError where its framework is not installed."""
        version = self.version()
        return BackendInfo(
            id=f"{self.framework}:{self.variant}" if self.variant else self.framework,
            framework=self.framework,
            version=version,
            variant=self.variant,
            devices=self.devices(),
            dtypes=tuple(name for name in DTYPES if self._takes(name)),
            composed=self.composed,
            instruction_set=self.instruction_set(),
        )

    def instruction_set(self) -> str:
        """Return the instruction set that the framework's code for the CPU is made for."""
        return instruction_sets.named(instruction_sets.level_of_process(self.dispatch))

    def require_device(self, name: str) -> None:
        """Raise UnsupportedCall unless the device ``name`` is present."""
        if name not in {device.kind for device in self.devices()}:
            raise UnsupportedCall(f"no device {name}")

    def require_reduction(self, name: str) -> None:
        """Raise UnsupportedCall unless ``name`` is a reduction that an adapter can compose."""
        if name not in REDUCTIONS:
            raise UnsupportedCall(f"{self.framework} has no loss with a reduction argument")

    def place_all(self, call: LossCall) -> dict[str, Any]:
        """Return the arrays that ``call`` carries on its device, by field name.

        An operand of another form is returned in that form, as a user would hand it over.

        Raises:
            UnsupportedCall: there is no such device.
        """
        self.require_device(call.device)
        arrays = {name: getattr(call, name) for name in ARRAYS}
        tensors = {
            name: in_form(array, call.forms[name])
            if name in call.forms
            else self.place(array, call.device)
            for name, array in arrays.items()
            if array is not None
        }
        self._placed = {name: tensors[name] for name in tensors if name not in call.forms}
        return tensors

    def placed(self) -> dict[str, Array]:
        """Return what the framework holds now of the arrays that ``place_all`` gave it last."""
        return {name: self.to_numpy(tensor) for name, tensor in self._placed.items()}

    def settings(self) -> dict[str, Any]:
        """Return what every call in this process must leave as it is, by name, to be compared."""
        _, words, position, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global ones
        return {
            "NumPy's random numbers": (np.asarray(words).tobytes(), position, *rest),
            "NumPy's handling of floating-point errors": np.geterr(),
        }

    def _probe(self, dtype: str) -> LossCall:
        """A call of one element in a format, which whoever takes it evaluates."""
        ones = np.ones(1, BFLOAT16 if dtype == BFLOAT16.name else dtype)
        return LossCall(ones, ones)

    def _takes(self, dtype: str) -> bool:
        try:
            self.fetch(self.bind(self._probe(dtype))())
        except Exception:
            return False
        return True


def in_form(array: Array, form: str) -> Any:
    """Return what ``array`` holds in one of ``FORMS``."""
    if form == "objects":
        return array.astype(object)
    if form == "none":
        return None
    if form == "text":
        return " ".join(map(str, array.ravel()[:3].tolist()))
    return array.tolist()


def loss_of_logits(
    call: LossCall,
    tensors: dict[str, Any],
    function: Callable[..., Any],
    criterion: Callable[..., Any],
) -> Callable[[Any], Any]:
    """Return the loss as a function of the logits alone.

    Args:
        call: what is asked.
        tensors: its operands, as ``place_all`` returns them.
        function: the framework's function, with parameters named as in ``LossCall``.
        criterion: its class, likewise.

    Raises:
        UnsupportedCall: ``call.arguments`` has one that there is no parameter for.
    """
    targets = tensors["targets"]
    if call.interface == "class":
        instance = instance_of(criterion, call, tensors)
        return lambda logits: instance(logits, targets)
    check_arguments(function, call)
    weight, pos_weight = tensors.get("weight"), tensors.get("pos_weight")
    options = dict(weight=weight, pos_weight=pos_weight, reduction=call.reduction, **call.arguments)
    return lambda logits: function(logits, targets, **options)


def instance_of(criterion: Callable[..., Any], call: LossCall, tensors: dict[str, Any]) -> Any:
    """Return an instance of the class, made with what differs from the documented defaults.

    Raises:
        UnsupportedCall: ``call.arguments`` has one that there is no parameter for.
    """
    check_arguments(criterion, call)
    options = {name: tensors[name] for name in ("weight", "pos_weight") if name in tensors}
    reduction = {} if call.reduction == "mean" else {"reduction": call.reduction}
    return criterion(**options, **reduction, **call.arguments)


def check_arguments(loss: Callable[..., Any], call: LossCall) -> None:
    """Check that the function or class has a parameter for each of ``call.arguments``.

    Raises:
        UnsupportedCall: it lacks one.
    """
    lacking = set(call.arguments) - set(inspect.signature(loss).parameters)
    if lacking:
        raise UnsupportedCall(f"the {call.interface} has no argument {', '.join(sorted(lacking))}")


def evaluate_another(adapter: Any, call: LossCall, tracked: Callable[[Any], Any]) -> None:
    """Evaluate the loss for arrays of another shape, without weights, to be differentiated.

    Args:
        adapter: whose ``loss_of(call, tensors)`` is the loss as a function of the logits.
        call: tells the formats, the reduction and the device.
        tracked: returns a tensor as one in which the framework differentiates.
    """
    shape = (min(call.logits.size, _FEW) + 1,)
    zeros = (np.zeros(shape, array.dtype) for array in (call.logits, call.targets))
    logits, targets = (adapter.place(array, call.device) for array in zeros)
    adapter.loss_of(call, {"logits": logits, "targets": targets})(tracked(logits))


def gradients_wanted(call: LossCall) -> tuple[str, ...]:
    """Return the operands whose gradients ``call`` wants, in the order of ``OPERANDS``."""
    return tuple(name for name in OPERANDS if f"grad_{name}" in call.quantities)


def gradients_of_overwritten(
    adapter: Any,
    call: LossCall,
    tensors: Mapping[str, Any],
    loss_of: Callable[[Any], Any],
    differentiate: Callable[[Any], _Gradients],
) -> _Gradients:
    """Return the gradients of a call whose operands are written over before the backward pass.

    A framework saves what it needs, or refuses. One that reads an operand late differentiates
    another loss, and says nothing: what comes of that is returned, else what comes without.
    Operands that are read-only, or have a stride of 0, are left as they are; all hold the same
    afterwards.

    Args:
        adapter: whose ``assign(tensor, values)`` writes into a tensor as its users do.
        call: what is asked.
        tensors: its operands, as ``place_all`` returns them.
        loss_of: the loss, from logits.
        differentiate: the backward pass, from a loss.
    """
    found = differentiate(loss_of(tensors["logits"]))
    for name in (name for name in OPERANDS if name in tensors):
        array = getattr(call, name)
        if not array.flags.writeable or 0 in array.strides:
            continue
        loss, kept = loss_of(tensors["logits"]), tensors[name].detach().clone()
        adapter.assign(tensors[name], array == 0)
        try:
            late = differentiate(loss)
        except RuntimeError as error:
            if _UNDIFFERENTIABLE not in str(error):
                raise
            continue
        finally:
            adapter.assign(tensors[name], kept)
        if not all(map(partial(_same_bits, adapter), found, late)):
            return late
    return found


def _same_bits(adapter: Adapter, one: Any, other: Any) -> bool:
    """Whether two gradients have the same bits; None is that of an operand without one."""
    if one is None or other is None:
        return one is other
    return adapter.to_numpy(one).tobytes() == adapter.to_numpy(other).tobytes()


def numbered(kind: str, index: int) -> str:
    """Return the device kind of number ``index``: ``cuda``, ``cuda:1`` and so on."""
    return f"{kind}:{index}" if index else kind
