"""The layout's promises: no import by accident, no framework imported by the package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("results", "reference", "backends", "conformance", "timing", "reports")
FRAMEWORKS = (
    *("torch", "paddle", "tensorflow", "jax", "optax", "keras", "sklearn", "autograd"),
    *("onnx", "onnxruntime", "openvino", "mlx", "mindspore", "pytensor", "tinygrad"),
)


def absolute_imports(source: str) -> Iterator[str]:
    """The top-level names that a module imports absolutely."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def test_absolute_imports_sees_each_form() -> None:
    source = "import backends.calls\nfrom reports import html\nfrom .x import y\nimport os as o"
    assert list(absolute_imports(source)) == ["backends", "reports", "os"]


@pytest.mark.parametrize("folder", [*FOLDERS, "bce_conformance", "tests"])
def test_no_module_imports_a_folder_of_the_checkout(folder: str) -> None:
    """`import backends` works by accident from the root of the checkout, and nowhere else."""
    modules = list((ROOT / folder).rglob("*.py"))
    assert modules
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules
        for name in absolute_imports(path.read_text("utf-8"))
        if name in FOLDERS
    ]
    assert wrong == []


def test_a_module_imports_relatively_only_within_its_folder() -> None:
    """Except for the native implementation, which can be taken out of the suite."""
    native = ROOT / "backends" / "native"
    wrong = [
        f"{path.relative_to(ROOT)}: {'.' * node.level}{node.module or ''}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        if not path.is_relative_to(native)
        if node.level > 1 or (node.level and "." in (node.module or ""))
    ]
    assert wrong == []


def own_modules(folder: Path) -> Iterator[str]:
    """The package that a folder of the checkout is, and the modules in it, by their full names."""
    parts = folder.relative_to(ROOT).parts
    parts = parts[1:] if parts[:2] == ("backends", "native") else parts
    package = ".".join(("bce_conformance", *parts))
    yield package
    yield from (f"{package}.{path.stem}" for path in folder.glob("*.py"))


def test_own_modules_have_the_names_that_they_are_imported_by() -> None:
    assert "bce_conformance.backends.calls" in own_modules(ROOT / "backends")
    assert "bce_conformance.backends.isolation" in own_modules(ROOT / "backends" / "isolation")
    assert "bce_conformance.native.api" in own_modules(ROOT / "backends" / "native")


def test_a_module_imports_absolutely_only_across_folders() -> None:
    """Except for the worker and the checks, which execnet and pytest load under other names."""
    exceptions = ROOT / "backends" / "isolation" / "worker.py", ROOT / "conformance" / "checks"
    wrong = [
        f"{path.relative_to(ROOT)}: from {node.module}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not any(path.is_relative_to(exception) for exception in exceptions)
        for own in [set(own_modules(path.parent))]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in own
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "import bce_conformance.cli, bce_conformance.reports, bce_conformance.conformance.plugin",
        "import runpy; sys.argv = ['bce-conformance', '--help']; "
        "__import__('contextlib').suppress(SystemExit).__enter__(); "
        'exec(\'try:\\n runpy.run_module("bce_conformance", run_name="__main__")\\n'
        "except SystemExit: pass')",
    ],
    ids=["import", "help"],
)
def test_no_framework_is_imported(statement: str) -> None:
    script = (
        f"import sys\n{statement}\n"
        f"loaded = [name for name in {FRAMEWORKS!r} if name in sys.modules]\n"
        "print(loaded, file=sys.stderr)\nsys.exit(bool(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
