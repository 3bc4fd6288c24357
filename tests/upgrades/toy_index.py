"""A package index in a folder: releases of a framework that is a toy, and what goes beside it."""

import zipfile
from pathlib import Path

import numpy

NAME = "toy"
# What each release is of the backends of ``impaired``, or the requirement that it cannot meet.
RELEASES = {
    "1.0": "Sloppy",
    "1.1": "Sloppy",
    "1.2": "requires nowhere-to-be-found",
    "1.3": "RaisesOnImport",
    "1.4": "Right",
    "1.5": "Right",
    "1.6": "Slow",
}


def environment(folder: Path) -> dict[str, str]:
    """Make the index, and return the variables by which pip and this package find what is in it."""
    index, here = folder / "index", folder / "here"
    site = Path(numpy.__file__).parents[1]
    for name in ("numpy", "ml_dtypes"):
        _wheel(index, name, "99.0", {f"{name}_is_there.pth": f"{site}\n"})
    for version, kind in RELEASES.items():
        needs = kind.partition("requires ")[2]
        source = f"import impaired\nclass Toy(impaired.{'Right' if needs else kind}):\n    pass\n"
        _wheel(index, NAME, version, {"toy_framework.py": source}, needs)
    record = here / f"{NAME}-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(
        f"[bce_conformance.backends]\n{NAME} = toy_framework:Toy\n"
    )
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_CONFIG_FILE": "/dev/null",
        "BCE_CONFORMANCE_CACHE": str(folder / "cache"),
        "ENTRY_POINTS": str(here),
    }


def _wheel(index: Path, name: str, version: str, files: dict[str, str], needs: str = "") -> None:
    index.mkdir(exist_ok=True)
    inside = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {needs}\n" if needs else ""
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    every = files | {f"{inside}/METADATA": metadata, f"{inside}/WHEEL": tag}
    with zipfile.ZipFile(index / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in every.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{inside}/RECORD", "".join(f"{path},,\n" for path in every))
