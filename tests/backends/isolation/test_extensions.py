"""What a call may ask beyond the evaluation of arrays, and who is asked."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bce_conformance.backends import BackendProcess, Failure, LossCall, LossResult, resolve
from bce_conformance.backends.adapters.base import in_form
from bce_conformance.backends.isolation.worker import MESSAGE_LENGTH, failure, shortened

X, Y = np.array([-2.0, 0.5, 3.0], np.float32), np.array([0.0, 1.0, 1.0], np.float32)


@pytest.fixture(scope="module")
def process() -> Iterator[Callable[[str], BackendProcess]]:
    processes: dict[str, BackendProcess] = {}

    def started(name: str) -> BackendProcess:
        return processes.setdefault(name, BackendProcess(resolve(name)))

    yield started
    for backend in processes.values():
        backend.close()


@pytest.mark.parametrize(
    ("fields", "extensions"),
    [
        ({}, ()),
        ({"forms": {"weight": "number"}}, ("forms",)),
        ({"interface": "class"}, ("interface",)),
        ({"interface": "class", "arguments": {"name": None}}, ("interface", "arguments")),
    ],
)
def test_a_call_says_what_it_asks_beyond_arrays(fields: dict, extensions: tuple) -> None:
    assert LossCall(X, Y, **fields).extensions == extensions


@pytest.mark.parametrize(
    "fields",
    [{"forms": {"weight": "tuple"}}, {"forms": {"cotangent": "list"}}, {"interface": "method"}],
)
def test_an_unknown_form_or_interface_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"forms is|interface is"):
        LossCall(X, Y, **fields)


def test_an_adapter_that_lists_no_extension_is_asked_for_none(
    process: Callable[[str], BackendProcess],
) -> None:
    call = LossCall(X * 0, Y, forms={"weight": "list"}, interface="class")
    answer = process("faulty:Echo").evaluate(call)
    assert answer == Failure("unsupported", "its adapter has no forms, interface")


@pytest.mark.parametrize(
    ("form", "made"),
    [("list", [1.5, 2.0]), ("text", "1.5 2.0"), ("none", None)],
)
def test_an_operand_takes_the_form_that_is_asked_for(form: str, made: object) -> None:
    assert in_form(np.array([1.5, 2.0], np.float32), form) == made


def test_a_number_is_a_python_number_and_objects_are_in_an_array() -> None:
    number = in_form(np.array(3), "number")
    assert (type(number), number) == (int, 3)
    objects = in_form(np.array([0.5], np.float16), "objects")
    assert (objects.dtype, type(objects[0])) == (np.dtype(object), float)


@pytest.mark.parametrize("name", ["native", "torch", "paddle"])
def test_the_class_is_made_with_its_defaults_and_its_arguments(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    arguments = {"size_average": False} if name == "torch" else {"name": "n"}
    weight = np.array([1.0, 2.0, 3.0], np.float32)
    for reduction, given in (("mean", {}), ("none", {}), ("mean", arguments)):
        call = LossCall(X, Y, weight, weight, reduction, interface="class", arguments=given)
        answer = process(name).evaluate(call)
        assert isinstance(answer, LossResult), answer
        meant = "sum" if given.get("size_average") is False else reduction
        right = process(name).evaluate(LossCall(X, Y, weight, weight, meant))
        assert isinstance(right, LossResult)
        np.testing.assert_array_equal(answer.values["loss"], right.values["loss"])


def test_what_the_class_has_no_parameter_for_is_unsupported(
    process: Callable[[str], BackendProcess],
) -> None:
    call = LossCall(X, Y, interface="class", arguments={"temperature": None, "alpha": "1"})
    answer = process("native").evaluate(call)
    assert answer == Failure("unsupported", "the class has no argument alpha, temperature")


def test_warnings_come_with_the_result(process: Callable[[str], BackendProcess]) -> None:
    call = LossCall(X, Y, interface="class", arguments={"reduce": False})
    answer = process("native").evaluate(call)
    assert isinstance(answer, LossResult)
    (warning,) = answer.warnings
    assert warning.startswith("DeprecationWarning: size_average and reduce are deprecated")
    assert process("native").evaluate(LossCall(X, Y)).warnings == ()


def test_a_long_message_keeps_its_end() -> None:
    assert shortened("short") == "short"
    text = shortened("wrapped: " + "x" * 1000 + " ValueError: the cause")
    assert text.startswith("wrapped: ")
    assert text.endswith("ValueError: the cause")
    assert len(text) <= MESSAGE_LENGTH + 3


def test_a_failure_carries_its_whole_text_and_what_it_derives_from() -> None:
    told = failure(NotImplementedError("no\nsuch " + "y" * 400))["failure"]
    assert told["error_type"] == "NotImplementedError"
    assert told["error_bases"][0] == "RuntimeError"
    assert told["message"] == "no such " + "y" * 400
