"""The coefficient tables are what their generator writes, and each error is proven small."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

from bce_conformance.native.arithmetic import coefficients

# What ACCURACY.md relies on, in the order of the tables.
CLAIMED = (-45.0, -28.0, -24.5, -50.9, -45.5, -48.6, -51.7)


def test_the_generator_writes_the_tables_that_are_used(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance.native.arithmetic.remez"],
        capture_output=True,
        text=True,
        check=True,
    )
    written = tmp_path / "written.py"
    written.write_text(done.stdout)
    names = {name: value for name, value in runpy.run_path(str(written)).items() if name.isupper()}
    assert len(names) == 18
    for name, value in names.items():
        assert getattr(coefficients, name) == value, name
    assert re.findall(r"2\^(\S+), proven", done.stdout) == re.findall(
        r"2\^(\S+), proven", Path(coefficients.__file__).read_text()
    )


def test_proven_errors_are_those_of_the_budget():
    text = Path(coefficients.__file__).read_text()
    proven = [float(value) for value in re.findall(r"2\^(\S+), proven", text)]
    assert len(proven) == len(CLAIMED)
    assert all(found <= claim for found, claim in zip(proven, CLAIMED, strict=True)), proven
