"""The example of a backend of one's own, as its author would use it: installed, in its own folder.

It is installed with the suite into a fresh environment, which needs a package registry: where none
can be reached these tests skip and say so; where CI is set they fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "plugin"
BACKEND = "my_package.my_module:MyBackend"
# Two requirements keep it short: one that the example meets in part, one that it does not support.
PART = ("--requirement", "VAL-1", "--requirement", "GRAD-14")


def test_the_adapter_fits_on_a_page() -> None:
    adapter = EXAMPLE / "my_package" / "my_module.py"
    assert len(adapter.read_text("utf-8").splitlines()) <= 40


class Author:
    """Somebody who copied the example, in an environment that has nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my-package"
        self.bin = folder / "venv" / "bin"
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns("*.egg-info", "build"))

    def does(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the author's folder."""
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def author(tmp_path_factory: pytest.TempPathFactory) -> Author:
    folder = tmp_path_factory.mktemp("example")
    author = Author(folder)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    # A copy, so that the build leaves nothing in the checkout.
    suite = folder / "suite"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "out", "__pycache__")
    shutil.copytree(ROOT, suite, ignore=left_out)
    constraints = ["-c", str(ROOT / "constraints.txt")]
    installed = author.does(
        "python", "-m", "pip", "install", "--quiet", *constraints, str(suite), str(author.folder)
    )
    if installed.returncode:
        reason = f"the example could not be installed: {installed.stderr[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return author


@pytest.mark.slow
def test_a_ledger_of_ones_own(author: Author) -> None:
    """Red without a ledger, filled by a run, then green; a stale entry is red where asked."""
    plain = ("run", "--backend", BACKEND, *PART)
    run = (*plain, "--ledger", "ledger.toml")
    first = author.does("bce-conformance", *plain)
    assert first.returncode == 1, first.stderr
    assert "GRAD-14" in first.stdout

    update = author.does("bce-conformance", "ledger", "update", "--ledger", "ledger.toml")
    assert update.returncode == 0, update.stderr
    ledger = author.folder / "ledger.toml"
    text = ledger.read_text("utf-8")
    assert 'text = ""' in text  # the reason is the author's to write
    ledger.write_text(text.replace('text = ""', 'text = "each operation is rounded"'), "utf-8")
    second = author.does("bce-conformance", *run)
    assert second.returncode == 0, second.stdout + second.stderr

    stale = ledger.read_text("utf-8").replace("\nAA = ", "\ntimeout = ")
    ledger.write_text(stale, "utf-8")
    assert author.does("bce-conformance", *run).returncode == 0
    assert author.does("bce-conformance", *run, "--strict").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", [BACKEND, "my-backend"])
def test_the_matrix_from_ones_own_pytest(author: Author, backend: str) -> None:
    done = author.does(
        "python", "-m", "pytest", "--pyargs", "bce_conformance.conformance", "--backend", backend,
        "--requirement", "INF-5", "--dtype", "float32",
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr  # the cell, and that it started
    assert done.returncode == 0


@pytest.mark.slow
def test_no_framework_came_along(author: Author) -> None:
    listing = author.does("python", "-m", "pip", "list", "--format", "freeze").stdout.lower()
    assert "bce-conformance" in listing
    assert not {"torch", "tensorflow", "paddlepaddle", "jax", "optax"} & {
        line.partition("==")[0] for line in listing.splitlines()
    }
