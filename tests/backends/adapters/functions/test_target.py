"""Where a function is: what is wrong with one that cannot be had is said in one line."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bce_conformance.backends.adapters.functions.signature import signature
from bce_conformance.backends.adapters.functions.target import Target, TargetError, load

SOURCE = """
import os
PI = 3.0
if "BROKEN_AT_IMPORT" in os.environ:
    no_such_name
def loss(logits, targets): return logits
def loss_backward(logits, targets, cotangent): return logits
class Losses:
    @staticmethod
    def hinge(logits, targets): return targets
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a file ``kernel.py`` into the working directory, whose modules are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})

    def write(source: str) -> Path:
        path = tmp_path / "kernel.py"
        path.write_text(source, "utf-8")
        return path

    return write


@pytest.mark.parametrize("where", ["./kernel.py", "kernel.py", "kernel"])
def test_a_file_and_a_module_of_the_working_directory(where: str, written: Callable) -> None:
    written(SOURCE)
    loaded = load(Target.parse(f"{where}:loss"))
    assert loaded.loss(2, 3) == 2
    assert loaded.backward(2, 3, 4) == 2
    nested = load(Target.parse(f"{where}:Losses.hinge"))
    assert (nested.loss(2, 3), nested.backward) == (3, None)


def test_a_file_may_be_called_as_a_framework_is(written: Callable) -> None:
    path = written("import json as other\n" + SOURCE)
    path.rename(path.with_name("json.py"))
    import json

    loaded = load(Target.parse("./json.py:loss"))
    assert loaded.loss(1, 2) == 1
    assert sys.modules["json"] is json


def test_a_file_imports_its_neighbours(written: Callable) -> None:
    path = written("from neighbour_of_kernel import loss\n")
    path.with_name("neighbour_of_kernel.py").write_text(SOURCE, "utf-8")
    assert load(Target.parse(f"{path}:loss")).loss(5, 6) == 5


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("kernel.py:lss", "kernel.py has no lss; the nearest are loss"),
        ("kernel.py:PI", "kernel.py:PI is an object of type float, which cannot be called"),
    ],
)
def test_a_name_that_is_not_there_or_not_callable(
    target: str, told: str, written: Callable
) -> None:
    written(SOURCE)
    with pytest.raises(TargetError) as caught:
        load(Target.parse(target))
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["kernel.py", "kernel"])
def test_an_error_of_the_file_names_its_line(
    where: str, written: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(SOURCE)
    monkeypatch.setenv("BROKEN_AT_IMPORT", "1")
    with pytest.raises(TargetError) as caught:
        load(Target.parse(f"{where}:loss"))
    assert str(caught.value) == (f"{where}, line 5: NameError: name 'no_such_name' is not defined")


def test_a_syntax_error_names_its_line_once(written: Callable) -> None:
    written("def loss(:\n    pass\n")
    with pytest.raises(TargetError) as caught:
        load(Target.parse("kernel.py:loss"))
    assert str(caught.value).startswith("kernel.py: SyntaxError: ")
    assert str(caught.value).count("line 1") == 1


def test_a_file_that_leaves_is_an_error(written: Callable) -> None:
    written("raise SystemExit('bye')\n")
    with pytest.raises(TargetError, match="line 1: SystemExit: bye"):
        load(Target.parse("kernel.py:loss"))


TARGET = Target("kernel.py", "loss")


class Criterion:
    """As frameworks' classes are: made with options, called with arrays."""

    def __init__(self, weight=None, reduction="mean", *, eps=0.0):
        self.made = {"weight": weight, "reduction": reduction}

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, logits, targets, pos_weight=None):
        return logits, targets, pos_weight, self.made


def test_a_function_is_called_with_what_it_names() -> None:
    read = signature(TARGET, lambda x, y, pos_weight=None, eps=1e-9: (x, y, pos_weight))
    assert (read.options, read.is_class, read.swapped) == ({"pos_weight"}, False, False)


def test_a_class_is_made_for_each_call_and_an_instance_is_called() -> None:
    read = signature(TARGET, Criterion)
    assert read.options == {"weight", "pos_weight", "reduction"}
    made = {"weight": 3, "reduction": "sum"}
    call = read.bound(Criterion)
    assert call(1, 2, weight=3, pos_weight=4, reduction="sum") == (1, 2, 4, made)
    assert signature(TARGET, Criterion()).options == {"pos_weight"}


@pytest.mark.parametrize(("first", "second", "swapped"), [
    ("y_true", "y_pred", True),
    ("labels", "logits", True),
    ("input", "target", False),
    ("a", "b", False),
    ("targets", "b", True),
])  # fmt: skip
def test_names_tell_which_comes_first(first: str, second: str, swapped: bool) -> None:
    scope: dict = {}
    exec(f"def loss({first}, {second}): return {first}, {second}", scope)
    read = signature(TARGET, scope["loss"])
    assert read.swapped == swapped
    assert read.bound(scope["loss"])("x", "y") == (("y", "x") if swapped else ("x", "y"))


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda logits: 0, "accepted is a function of logits and targets"),
        (lambda logits, targets, temperature: 0, "it needs an argument 'temperature'"),
        (lambda logits, targets, *, cotangent: 0, "it needs an argument 'cotangent'"),
        (type("Made", (), {"__init__": lambda self, size: None}), "the class needs an argument"),
        (map, "the class needs|no signature"),
    ],
)
def test_what_cannot_be_called_with_logits_and_targets(loss: object, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        signature(TARGET, loss)


def test_a_backward_may_need_a_cotangent() -> None:
    read = signature(TARGET, lambda logits, targets, cotangent: 0, ("cotangent",))
    assert read.options == {"cotangent"}
