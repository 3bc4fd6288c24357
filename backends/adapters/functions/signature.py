"""The signature of a user's function: which of the arguments it has, and in which order.

Guarantees that what is called is called with arguments that it names itself, so that no error of
Python's about arguments is taken for one of the function's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .target import Target, TargetError

OPTIONS = ("weight", "pos_weight", "reduction")
# What the two arrays are called where their order is not logits, targets.
_LOGITS = {"logits", "logit", "input", "inputs", "x", "y_pred", "pred", "preds", "predictions"}
_TARGETS = {"targets", "target", "labels", "label", "y", "y_true", "truth"}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
# The methods by which frameworks evaluate their modules, whose __call__ takes anything.
_METHODS = ("forward", "call")


@dataclass(frozen=True)
class Signature:
    """How a function, class or callable object of a user's is called.

    Attributes:
        options: those of its parameters that are in ``OPTIONS``, or ``cotangent``.
        made_with: those of them that its class is made with, empty for what is no class.
        is_class: whether it is made for each call.
        swapped: whether the targets come before the logits, as its parameters' names say.
        needed: the weights without a default: they are None where a call has none.
    """

    options: frozenset[str]
    made_with: frozenset[str] = frozenset()
    is_class: bool = False
    swapped: bool = False
    needed: frozenset[str] = frozenset()

    def bound(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        """``loss`` as a function of logits, targets and any of ``options`` by keyword."""

        def call(logits: Any, targets: Any, **options: Any) -> Any:
            pair = (targets, logits) if self.swapped else (logits, targets)
            options = dict.fromkeys(self.needed) | options
            if not self.is_class:
                return loss(*pair, **options)
            made = {name: value for name, value in options.items() if name in self.made_with}
            rest = {name: value for name, value in options.items() if name not in self.made_with}
            return loss(**made)(*pair, **rest)

        return call


def returning_arrays(loss: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``loss``, with an error of its own where it returns no array, as for want of a ``return``."""

    def call(logits: Any, targets: Any, **options: Any) -> Any:
        found = loss(logits, targets, **options)
        if not hasattr(found, "shape"):
            kind = type(found).__name__
            raise TypeError(f"{name} returned an object of type {kind}; accepted is an array")
        return found

    return call


def signature(target: Target, loss: Any, more: tuple[str, ...] = ()) -> Signature:
    """Read how ``loss`` is called.

    Args:
        target: names it, for errors.
        loss: a function, class or callable object.
        more: names of parameters that are known beside ``OPTIONS``.

    Raises:
        TargetError: it cannot be called with logits and targets, or needs an argument that is none
            of those known.
    """
    known = (*OPTIONS, *more)
    if not inspect.isclass(loss):
        return _of_call(target, _parameters(target, _method(loss)), known)
    made = _parameters(target, loss)
    unknown = [p for p in made.values() if _is_needed(p) and p.name not in known]
    if unknown:
        raise TargetError(_needs(target, unknown[0].name, known, "the class"))
    called = _parameters(target, _method(loss))
    rest = dict(list(called.items())[1:])  # without self
    found = _of_call(target, rest, known)
    own = frozenset(made) & frozenset(known)
    needed = found.needed | _needed(made.values())
    return Signature(found.options | own, own, True, found.swapped, needed)


def _of_call(target: Target, parameters: Mapping[str, Any], known: tuple[str, ...]) -> Signature:
    """What is called with logits and targets first."""
    positional = [p for p in parameters.values() if p.kind in _POSITIONAL]
    takes_any = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())
    first = positional[:2]
    if len(first) < 2 and not takes_any:
        raise TargetError(
            f"{target} takes ({', '.join(parameters)}); accepted is a function of logits and "
            "targets, in this order, with any of weight, pos_weight and reduction"
        )
    rest = [p for p in parameters.values() if p not in first]
    for parameter in rest:
        if _is_needed(parameter) and parameter.name not in known:
            raise TargetError(_needs(target, parameter.name, known, "it"))
    names = [p.name.lower() for p in first]
    options = frozenset(p.name for p in rest) & frozenset(known)
    return Signature(options, swapped=_is_swapped(*names), needed=_needed(rest))


def _is_swapped(first: str = "", second: str = "", *_: str) -> bool:
    """Whether the names say that targets come first; y alone may be what a model returns."""
    if first not in _TARGETS:
        return False
    return second in _LOGITS or (first != "y" and second not in ("", *_TARGETS))


def _needed(parameters: Iterable[inspect.Parameter]) -> frozenset[str]:
    """The weights among parameters that have no default."""
    return frozenset(p.name for p in parameters if _is_needed(p)) & {"weight", "pos_weight"}


def _needs(target: Target, name: str, known: tuple[str, ...], what: str) -> str:
    return (
        f"{target}: {what} needs an argument {name!r}; accepted beside logits and targets are "
        f"{', '.join(known)}, and parameters with a default"
    )


def _is_needed(parameter: inspect.Parameter) -> bool:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variadic


def _method(loss: Any) -> Any:
    """What evaluates a module: of a framework's the method that users write."""
    if inspect.isroutine(loss):
        return loss
    named = (getattr(loss, name, None) for name in _METHODS)
    if isinstance(loss, type):
        return next((method for method in named if inspect.isfunction(method)), loss.__call__)
    return next((method for method in named if inspect.ismethod(method)), loss)


def _parameters(target: Target, loss: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(loss).parameters
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{target} has no signature that Python can read; wrap it in a function of logits and "
            "targets"
        ) from error
