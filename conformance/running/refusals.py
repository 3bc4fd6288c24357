"""Refusals: when an error is a clear one.

An error is conventional when its type is one by which a framework says that it was misused, rather
than one that escapes from its inside, such as AttributeError. It is clear when it also names the
argument, or the type that it does not take. The definitions are those of SPEC.md, "Errors".
"""

from __future__ import annotations

import re

from bce_conformance.backends.calls import Array, Failure, LossCall, LossResult

from .subject import Subject

# NotImplementedError is a RuntimeError; InvalidArgumentError is TensorFlow's.
_CONVENTIONAL = {"TypeError", "ValueError", "RuntimeError", "InvalidArgumentError"}

# What the frameworks call the operands. The `input #1` of TensorFlow's operations is another thing.
_ARGUMENTS = {
    "logits": r"logits?|input(?! ?#)",
    "targets": r"targets?|labels?",
    "weight": r"weights?",
    "pos_weight": r"pos_weights?",
    "reduction": r"reduction",
}
# What they call the types, beside NumPy's names.
_TYPES = {
    "float16": "half",
    "float32": "float",
    "float64": "double",
    "bool": "boolean",
    "uint8": "byte",
    "int32": "int",
    "int64": "long",
    "complex64": "complex|ComplexFloat",
    "complex128": "complex|ComplexDouble",
}

# Compiled frameworks quote source code, whose words are not theirs, before the cause itself.
_CAUSE = re.compile(r"got \w+Error\((?P<wrapped>.*)\) Hint: |.*\b\w+Error: (?P<last>.*)", re.DOTALL)


def require_error(subject: Subject, call: LossCall, what: str) -> Failure | None:
    """Require that a call raises; the failure where it did."""
    outcome = subject.try_evaluate(call)
    if not isinstance(outcome, Failure):
        loss = outcome.values.get("loss")
        seen = "no loss" if loss is None else f"a loss of {loss.dtype}, shape {loss.shape}"
        seen += "" if loss is None else f", {loss.ravel()[:3]}"
        subject.require(False, f"{what}: no error, but {seen}")
    elif outcome.kind == "unsupported":
        subject.refused(outcome, what)
    elif subject.require(outcome.kind == "raised", f"{what}: {outcome}"):
        return outcome
    return None


def unless_refused(
    subject: Subject, call: LossCall, what: str, *operands: str
) -> LossResult | None:
    """Evaluate a call; None where it was refused, which must be by a clear error.

    ``operands`` are those of which each alone is a reason to refuse the call.
    """
    outcome = subject.try_evaluate(call)
    if not isinstance(outcome, Failure):
        return outcome
    clear = any(is_clear(outcome, name, type_of(call, name)) for name in operands)
    if outcome.kind == "unsupported" or clear:
        subject.refused(outcome, what)
    else:
        subject.require(False, f"{what}: {outcome}")
    return None


def type_of(call: LossCall, operand: str) -> str:
    """The name of the type in which an operand is handed over; ``>f4`` in the other byte order."""
    array: Array = getattr(call, operand)
    if operand in call.forms:
        return type(array.item()).__name__
    return array.dtype.name if array.dtype.isnative else array.dtype.str


def is_conventional(failure: Failure) -> bool:
    """Whether a call failed with an error of a conventional type."""
    types = {failure.error_type, *failure.error_bases}
    return failure.kind == "raised" and bool(types & _CONVENTIONAL)


def names_argument(failure: Failure, argument: str) -> bool:
    """Whether the error's text names an argument, in one of the frameworks' spellings."""
    return _has_word(failure, _ARGUMENTS[argument])


def names_type(failure: Failure, dtype: str) -> bool:
    """Whether the error's text names a type, in one of the frameworks' spellings.

    The byte order is what is wrong with a type in the other one.
    """
    spelling = "byte order" if dtype.startswith(("<", ">")) else _TYPES.get(dtype, dtype)
    return _has_word(failure, f"{dtype}|{spelling}")


def names_shape(failure: Failure, shape: tuple[int, ...]) -> bool:
    """Whether the error's text contains a shape in one of the frameworks' spellings."""
    inner = ", ".join(map(str, shape))
    tight = ",".join(map(str, shape))
    spellings = {f"({inner})", f"[{inner}]", f"({inner},)", f"[{tight}]", f"({tight})"}
    return any(spelling in failure.message for spelling in spellings)


def is_clear(failure: Failure, argument: str, dtype: str) -> bool:
    """Whether the refusal of an argument for its type is a clear error."""
    named = names_argument(failure, argument) or names_type(failure, dtype)
    return is_conventional(failure) and named


def _has_word(failure: Failure, pattern: str) -> bool:
    said = _CAUSE.search(failure.message)
    text = (said["wrapped"] or said["last"]) if said else failure.message
    return re.search(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE) is not None
