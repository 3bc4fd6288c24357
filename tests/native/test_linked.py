"""Parts of kernels: without machine code of its own, and called from Python all the same."""

import math

import numpy as np
from numba import njit

from bce_conformance.native import linked
from bce_conformance.native.arithmetic.intrinsics import fma, helper, inlined


@inlined
def squared(a):
    return fma(a, a, 0.0)


@helper
def length(a, b):
    return math.sqrt(squared(a) + squared(b))


@njit(error_model="numpy")
def lengths(values):
    return length(values[0], values[1])


def test_a_function_is_called_from_python_before_and_after_it_is_linked():
    assert squared(3.0) == 9.0
    assert lengths(np.array([3.0, 4.0])) == 5.0
    assert length(3.0, 4.0) == 5.0
    assert length(3, 4) == 5.0  # types that no kernel has asked for
    assert squared(1e200) == math.inf


def test_only_what_is_called_from_python_has_what_python_calls():
    lengths(np.array([3.0, 4.0]))
    linked = [*length.overloads.values(), *squared.overloads.values()]
    assert len(linked) >= 2
    for compiled in linked:
        names = [defined.name for defined in compiled.library.get_defined_functions()]
        assert compiled.fndesc.mangled_name in names
        assert not any("cpython" in name or "cfunc" in name for name in names)
    (kernel,) = lengths.overloads.values()
    names = [defined.name for defined in kernel.library.get_defined_functions()]
    assert kernel.fndesc.llvm_cpython_wrapper_name in names


def test_with_other_releases_of_numba_functions_are_compiled_as_any_other(monkeypatch):
    monkeypatch.setattr(linked, "TRIED", ("0.0.",))
    plain = linked.linked(inline=True)(squared.py_func)
    assert type(plain) is not type(squared)
    assert plain(3.0) == 9.0
    assert plain.signatures
