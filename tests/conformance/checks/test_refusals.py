"""What counts as a conventional and as a clear error."""

import numpy as np
import pytest

from bce_conformance.backends import Failure, LossCall
from bce_conformance.conformance.running.refusals import (
    is_clear,
    is_conventional,
    names_argument,
    names_shape,
    type_of,
)


def raised(message: str, error_type: str = "TypeError", *bases: str) -> Failure:
    return Failure("raised", message, error_type, bases, message)


@pytest.mark.parametrize(
    ("failure", "conventional"),
    [
        (raised("no"), True),
        (raised("no", "NotImplementedError", "RuntimeError", "Exception"), True),
        (raised("no", "InvalidArgumentError", "OpError", "Exception"), True),
        (raised("no", "AttributeError", "Exception"), False),
        (raised("no", "AssertionError", "Exception"), False),
        (Failure("crashed", "SIGSEGV"), False),
        (Failure("timeout", "after 30 s"), False),
    ],
)
def test_conventional_errors(failure: Failure, conventional: bool) -> None:
    assert is_conventional(failure) == conventional


@pytest.mark.parametrize(
    ("message", "argument", "named"),
    [
        ("argument 'weight' must be Tensor, not float", "weight", True),
        ("pos_weight has shape (3,)", "weight", False),
        ("pos_weight has shape (3,)", "pos_weight", True),
        ("Target size must be the same as input size", "logits", True),
        ("binary_cross_entropy_with_logits() failed", "logits", False),
        ("input #1(zero-based) was expected to be a half tensor", "logits", False),
        ("in user code: f(labels=labels) TypeError: bad operand", "targets", False),
        ("in user code: f(x) ValueError: `labels` are bad", "targets", True),
        ("{'weight': None}): got ValueError('no such reduction') Hint: x", "weight", False),
        ("{'weight': None}): got ValueError('no such reduction') Hint: x", "reduction", True),
    ],
)
def test_the_error_names_the_argument_itself(message: str, argument: str, named: bool) -> None:
    assert names_argument(raised(message), argument) == named


@pytest.mark.parametrize(
    ("message", "dtype", "clear"),
    [
        ("result type Float can't be cast to the desired output type Long", "int64", True),
        ("result type Float can't be cast to the desired output type Long", "int32", False),
        ("was expected to be a half tensor but is a double tensor", "float64", True),
        ("must be Tensor, but got float", "float", True),
        ("unsupported operand", "bool", False),
        ("given numpy array has byte order different from the native byte order", ">f8", True),
        ("Dtype >f4 is not a valid JAX array type", ">f4", True),
        ("Dtype >f4 is not a valid JAX array type", ">f8", False),
        ("expected a byte tensor", ">f8", False),
    ],
)
def test_a_clear_error_names_the_type_or_the_argument(
    message: str, dtype: str, clear: bool
) -> None:
    assert is_clear(raised(message), "targets", dtype) == clear
    assert is_clear(raised(f"targets: {message}"), "targets", dtype)
    assert not is_clear(raised(f"targets: {message}", "KeyError"), "targets", dtype)


@pytest.mark.parametrize("text", ["(6, 4)", "[6, 4]", "[6,4]", "(6,4)"])
def test_the_error_names_a_shape(text: str) -> None:
    assert names_shape(raised(f"shape {text}"), (6, 4))
    assert not names_shape(raised(f"shape {text}"), (4, 6))


def test_the_type_of_an_operand_is_that_in_which_it_is_handed_over() -> None:
    x = np.ones(2, np.float16)
    assert type_of(LossCall(x, x), "logits") == "float16"
    call = LossCall(x, x, weight=np.array(3), forms={"weight": "number"})
    assert type_of(call, "weight") == "int"
    swapped = np.ones(2, ">f4" if np.dtype("=f4").str == "<f4" else "<f4")
    assert type_of(LossCall(x, swapped), "targets") == swapped.dtype.str
