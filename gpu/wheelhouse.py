"""Gathers what a GPU machine without a network needs: ``make wheelhouse PYTHON_VERSION=3.12``.

The folder holds the suite's own wheel and those of what it needs, for one Python on Linux, pure or
binary, without the frameworks, which are there already. ``numba/`` has the compiler, for machines
that lack it. Charts are drawn at home: their packages stay there.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[1]
AT_HOME = ("altair", "vl-convert-python")
"""Direct requirements that draw charts, without which a report has none."""

COMPILER = ("numba", "llvmlite")
"""Two thirds of the bytes. Without them there is no native backend, and truths take longer."""

GLIBC = range(5, 35)
"""Minor versions of glibc 2 whose wheels are taken: those of Ubuntu 22.04 and older."""


def main() -> None:
    """Gather the wheels and print how large they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=platform.python_version(), help="such as 3.12")
    parser.add_argument("--machine", default="x86_64", help="or aarch64")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "wheelhouse")
    given = parser.parse_args()
    python = ".".join(given.python.split(".")[:2])
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    own = build(given.out)
    needed = [line for line in requirements(own) if Requirement(line).name not in AT_HOME]
    download(needed, given.out, python, given.machine)
    lacking = unmet(given.out, needed, python, given.machine)
    while lacking:
        download(lacking, given.out, python, given.machine)
        still = unmet(given.out, needed, python, given.machine)
        if still == lacking:
            sys.exit(f"no wheels for Python {python} on {given.machine}: {', '.join(lacking)}")
        lacking = still
    lines = [line for line in needed if canonicalize_name(Requirement(line).name) not in COMPILER]
    (given.out / "requirements.txt").write_text("\n".join(lines) + "\n", "utf-8")
    apart = given.out / "numba"
    apart.mkdir()
    for wheel in given.out.glob("*.whl"):
        if distribution_of(wheel) in COMPILER:
            wheel.rename(apart / wheel.name)
    shutil.copy(ROOT / "gpu" / "measure.py", given.out)
    print(f"{given.out}, for Python {python} on Linux {given.machine}")
    for name, folder in (("without numba/", given.out), ("numba/", apart)):
        wheels = list(folder.glob("*.whl"))
        size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
        print(f"  {name:<15}{len(wheels):>3} wheels {size:7.1f} MB")


def build(out: Path) -> Path:
    """Build the suite's own wheel, and return it."""
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    pip("wheel", "--no-deps", "--wheel-dir", str(out), str(ROOT))
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    (wheel,) = out.glob("bce_conformance-*.whl")
    return wheel


def download(wanted: Sequence[str], out: Path, python: str, machine: str) -> None:
    """Download the wheels of requirements, and of what they need, for another interpreter."""
    tags = ["manylinux1", "manylinux2010", "manylinux2014", *(f"manylinux_2_{n}" for n in GLIBC)]
    platforms = [word for tag in tags for word in ("--platform", f"{tag}_{machine}")]
    target = ["--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    pip("download", "--dest", str(out), *target, *platforms, *wanted)


def pip(command: str, *arguments: str) -> None:
    """Run pip; where it fails, its last words are the message."""
    options = ["--disable-pip-version-check", "--no-input", "--quiet"]
    line = [sys.executable, "-m", "pip", command, *options, *arguments]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"pip {command} failed:\n{done.stderr.strip()[-1000:]}")


def distribution_of(wheel: Path) -> str:
    """The normalized name of a wheel's distribution."""
    return str(parse_wheel_filename(wheel.name)[0])


def requirements(wheel: Path) -> list[str]:
    """What a wheel requires, markers included, but for its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    lines = headers.get_all("Requires-Dist") or []
    return [line for line in lines if "extra ==" not in line]


def unmet(out: Path, wanted: Sequence[str], python: str, machine: str) -> list[str]:
    """Requirements that no wheel of a folder meets on the machine that it is for.

    pip reads the markers of requirements for the interpreter that it runs in itself.
    """
    wheels = {distribution_of(wheel): wheel for wheel in out.glob("*.whl")}
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }

    def missing(lines: Sequence[str], seen: set[str]) -> Iterator[str]:
        for line in lines:
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            if name in seen or (requirement.marker and not requirement.marker.evaluate(there)):
                continue
            seen.add(name)
            if name in wheels:
                yield from missing(requirements(wheels[name]), seen)
            else:
                yield f"{requirement.name}{requirement.specifier}"

    return sorted(set(missing(wanted, set())))


if __name__ == "__main__":
    main()
