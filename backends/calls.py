"""The vocabulary that crosses every backend boundary: calls, results, failures, descriptions.

Everything here is framework-neutral: NumPy arrays in, NumPy arrays out. This module guarantees that
bits arrive unchanged and must never import a framework.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]

REDUCTIONS: tuple[str, ...] = ("none", "mean", "sum")
OPERANDS: tuple[str, ...] = ("logits", "targets", "weight", "pos_weight")
ARRAYS: tuple[str, ...] = (*OPERANDS, "cotangent", "tangent")  # the fields of a call that hold one
GRADIENTS: tuple[str, ...] = tuple(f"grad_{operand}" for operand in OPERANDS)
# jvp_logits: forward mode, d loss along `tangent`; hvp_logits: d grad_logits along `tangent`.
QUANTITIES: tuple[str, ...] = ("loss", *GRADIENTS, "jvp_logits", "hvp_logits")
DTYPES: tuple[str, ...] = ("float16", "bfloat16", "float32", "float64")
# How an operand is handed to the framework, where that is not as its own array: as a Python number,
# as nested lists of them, as a NumPy array of Python objects, as a string, or as None.
FORMS: tuple[str, ...] = ("number", "list", "objects", "text", "none")
INTERFACES: tuple[str, ...] = ("function", "class")
# How a call is made among others: alone; between some for which the contents of its arrays are
# others, written over them; at the same time in several threads; or after itself in another format,
# or with its axes exchanged: without a graph, as it is, and with a weight that does not fit.
REPETITIONS: tuple[str, ...] = ("once", "changed", "at once", "other format", "other shape")
# How automatic differentiation is used: its backward pass follows on the evaluation; it follows on
# another one, with other logits; it is a second one, after one with another cotangent; it adds to
# gradients that the operands hold; the operands are written over before it, which may be refused,
# and must not change it; automatic differentiation is off while the loss is evaluated; or numbers
# carry their derivatives along: the gradient of an operand of the loss's size is the derivative
# along the cotangent, the second derivative that of the gradient along the tangent; or the backward
# pass is differentiated: what stands for the gradient in an operand of the loss's size is then the
# derivative, in that operand, of the gradient in the logits along the tangent, and forward mode is
# the derivative of that gradient in the cotangent.
AUTOGRAD: tuple[str, ...] = (
    *("usual", "interleaved", "retained", "accumulated"),
    *("overwritten", "off", "forward", "twice"),
)
# How the framework is set meanwhile: as it is when it is imported; to algorithms that give the same
# bits each time; to a format for what is made without one; or to choose formats itself (mixed
# precision), while the loss is evaluated.
USUAL_MODE = "usual"
MODES: tuple[str, ...] = (USUAL_MODE, "deterministic", "float64", "bfloat16", "autocast")
# What a call may ask beyond the evaluation of arrays: by field, and what means not asking for it.
_PLAIN: dict[str, object] = {
    "forms": {},
    "interface": "function",
    "arguments": {},
    "threads": None,
    "autograd": "usual",
    "mode": USUAL_MODE,
}


@dataclass(frozen=True)
class LossCall:
    """One framework-neutral evaluation of binary cross-entropy with logits.

    Attributes:
        logits: x, any shape.
        targets: y, the shape of ``logits``.
        weight: w, broadcastable to ``logits``, or None.
        pos_weight: p, broadcastable to ``logits``, or None.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``; any other string is passed on, so that a
            backend's refusal can be judged.
        quantities: what is wanted, a subset of ``QUANTITIES``.
        cotangent: gradient of a scalar with respect to the (reduced) loss, of the loss's shape;
            None means ones.
        tangent: direction in the logits for ``jvp_logits`` and ``hvp_logits``, of their shape.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        forms: operand → one of ``FORMS``, for operands that are not handed over as arrays; made in
            the worker from the array that the call carries, as not all of them can travel.
        interface: one of ``INTERFACES``: the framework's documented function, or its class, to
            which only what differs from the documented defaults is passed.
        arguments: further keyword arguments of the function or class, such as ``size_average``.
        threads: how many threads the backend may use for it; None means as many as it likes.
        repetition: one of ``REPETITIONS``; the worker sees to it, not the adapter.
        autograd: one of ``AUTOGRAD``.
        mode: one of ``MODES``.
    """

    logits: Array
    targets: Array
    weight: Array | None = None
    pos_weight: Array | None = None
    reduction: str = "mean"
    quantities: tuple[str, ...] = ("loss",)
    cotangent: Array | None = None
    tangent: Array | None = None
    device: str = "cpu"
    forms: Mapping[str, str] = field(default_factory=dict)
    interface: str = "function"
    arguments: Mapping[str, bool | str | None] = field(default_factory=dict)
    threads: int | None = None
    repetition: str = "once"
    autograd: str = "usual"
    mode: str = USUAL_MODE

    def __post_init__(self) -> None:
        unknown = sorted(set(self.quantities) - set(QUANTITIES))
        if unknown:
            raise ValueError(f"quantities has {unknown}; accepted are {list(QUANTITIES)}")
        if self.tangent is None and {"jvp_logits", "hvp_logits"} & set(self.quantities):
            raise ValueError("tangent is None, but jvp_logits and hvp_logits need one")
        for operand in ("weight", "pos_weight"):
            if f"grad_{operand}" in self.quantities and getattr(self, operand) is None:
                raise ValueError(f"{operand} is None, but grad_{operand} is wanted")
        if set(self.forms) - set(OPERANDS) or set(self.forms.values()) - set(FORMS):
            raise ValueError(f"forms is {self.forms}; accepted are {OPERANDS} with any of {FORMS}")
        if self.interface not in INTERFACES:
            raise ValueError(f"interface is {self.interface!r}; accepted are {INTERFACES}")
        if self.repetition not in REPETITIONS:
            raise ValueError(f"repetition is {self.repetition!r}; accepted are {REPETITIONS}")
        if self.autograd not in AUTOGRAD:
            raise ValueError(f"autograd is {self.autograd!r}; accepted are {AUTOGRAD}")
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; accepted are {MODES}")

    @property
    def extensions(self) -> tuple[str, ...]:
        """The fields by which this call asks for more than the evaluation of arrays.

        An adapter lists those that it honours as its ``extensions``; to one that does not list a
        field, no call comes that uses it.
        """
        return tuple(name for name, plain in _PLAIN.items() if getattr(self, name) != plain)


@dataclass(frozen=True)
class LossResult:
    """What a backend returned.

    Attributes:
        values: quantity → array, as the framework shaped and typed it. A quantity that was wanted
            and that the framework left out (``None``) is absent from the mapping.
        device: the device on which the framework left its results, named as in ``LossCall``;
            several are joined by ``+``, and it is empty where there are no results.
        warnings: Python's warnings that were given meanwhile, each as ``category: text``.
        modified: the arrays of the call that are no longer what they were, by field name, and such
            settings of the process as random numbers; the worker sees to it, not the adapter.
    """

    values: Mapping[str, Array]
    device: str = "cpu"
    warnings: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()


FailureKind = Literal["raised", "crashed", "timeout", "unsupported"]


@dataclass(frozen=True)
class Failure:
    """Why a call gave no result.

    Attributes:
        kind: ``"raised"`` (the framework's own error), ``"crashed"`` (its process died),
            ``"timeout"`` (it was ended at the limit) or ``"unsupported"`` (the framework has no
            such device, format or operation, as its adapter says).
        detail: one line, such as ``SIGSEGV``, ``exit code 0``, ``after 30 s`` or
            ``ValueError: weight has shape (3,), …``.
        error_type: the exception's class name where ``kind`` is ``"raised"``, else empty.
        error_bases: the names of the classes that it derives from, nearest first, likewise.
        message: the exception's own text, not cut down to one line. It takes no part in
            comparisons.
        log: for whoever looks into it: the end of the traceback, or of what the process wrote to
            its standard error before it died. It takes no part in comparisons.
    """

    kind: FailureKind
    detail: str
    error_type: str = ""
    error_bases: tuple[str, ...] = field(default=(), compare=False, repr=False)
    message: str = field(default="", compare=False, repr=False)
    log: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.kind != "raised" else f"raised {self.detail}"

    @property
    def reason(self) -> str:
        """Why a backend does not start: what was found wrong with a function in its own words."""
        return self.message if self.error_type == "TargetError" else str(self)


class UnsupportedCall(Exception):  # noqa: N818 - a statement about the framework, not an error
    """Raised by an adapter for a call that its framework does not offer at all."""


@dataclass(frozen=True)
class Device:
    """One device: ``kind``, as calls name it, and the name of the hardware.

    The first of several is ``"cuda"``, the second ``"cuda:1"``.
    """

    kind: str
    name: str


_EXAMPLES = {
    "devices": "Device('cpu', 'cpu')",
    "dtypes": "'float32'",
    "composed": "'weight'",
    "notes": "'gradients by hand'",
}


@dataclass(frozen=True)
class BackendInfo:
    """What a backend is, as it says itself once its framework is imported.

    Attributes:
        id: ``framework[:variant]``.
        framework: the distribution that is judged.
        version: its version.
        variant: such as ``"compile"``; empty for the default.
        devices: the devices that are present now.
        dtypes: the formats in which it takes logits, a subset of ``DTYPES``.
        composed: what the adapter builds from the framework's operations because the framework's
            own function lacks it: argument names and quantities.
        instruction_set: that its code for the CPU was made for, such as ``x86-64-v3/intel``; empty
            where the adapter does not say.
        notes: what else a reader of its results should know, a few words each.

    Raises:
        TypeError: a field is of another type.
        ValueError: a field has a value that is not accepted.
    """

    id: str
    framework: str
    version: str
    variant: str = ""
    devices: tuple[Device, ...] = (Device("cpu", "cpu"),)
    dtypes: tuple[str, ...] = DTYPES
    composed: tuple[str, ...] = field(default=())
    instruction_set: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        texts = ("id", "framework", "version", "variant", "instruction_set")
        for name in texts:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"BackendInfo.{name} is {value!r}; accepted is a string")
        if not self.id:
            raise ValueError("BackendInfo.id is empty; accepted is a name, such as my_package")
        for name, kind in (("devices", Device), ("dtypes", str), ("composed", str), ("notes", str)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(one, kind) for one in value):
                of = f"of {kind.__name__}, such as ({_EXAMPLES[name]},)"
                raise TypeError(f"BackendInfo.{name} is {value!r}; accepted is a tuple {of}")
        if not self.devices or not all(device.kind for device in self.devices):
            raise ValueError(f"BackendInfo.devices is {self.devices}; accepted are named devices")
        unknown = sorted(set(self.dtypes) - set(DTYPES))
        if unknown:
            raise ValueError(f"BackendInfo.dtypes has {unknown}; accepted are {list(DTYPES)}")

    def has_device(self, kind: str) -> bool:
        """Whether a device is present, such as ``"cuda:1"``."""
        return kind in {device.kind for device in self.devices}


class Backend(Protocol):
    """What an adapter is: three methods, and the framework imported inside them only.

    Four more are optional. ``prepare()`` is called once, before the first call: what an adapter
    compiles ahead of use is no part of a call's time. ``set_threads(count)``, of an adapter that
    lists ``threads`` among its ``extensions``, makes later calls use ``count`` threads and returns
    how many it were before. ``in_mode(name)``, of one that lists ``mode``, is a context in which
    the framework is set to one of ``MODES``. ``placed()`` returns the arrays of the latest call by
    field name as the framework holds them now, where those are copies.
    """

    def info(self) -> BackendInfo:
        """Describe the backend; raises ImportError where its framework is not installed."""

    def bind(self, call: LossCall) -> Callable[[], Any]:
        """Return a thunk that evaluates ``call`` on its device and synchronises.

        Transfers and, where the framework compiles, everything that can be prepared happen here, so
        that the thunk is what a benchmark times. A call with a ``repetition`` other than ``once``
        calls the thunk several times, also in two threads at once, before it fetches a result.
        """

    def fetch(self, raw: Any) -> LossResult:
        """Bring what the thunk returned to NumPy, bits unchanged."""
