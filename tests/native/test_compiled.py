"""Compiled code is valid for the sources that it was compiled from, and for no others."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bce_conformance.native import compiled, warmup
from bce_conformance.native.arguments import FORMATS
from bce_conformance.native.compiled import FINGERPRINT, digest_of

FOLDER = Path(__file__).parents[2] / "backends" / "native"


def test_the_fingerprint_is_that_of_every_module() -> None:
    assert digest_of(FOLDER) == FINGERPRINT


def test_any_change_of_any_module_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    texts = {"top.py": "a = 1\n", "room/inner.py": "b = 1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    seen = {digest_of(tmp_path)}
    for name in texts:
        (tmp_path / name).write_text("c = 1\n")
        seen.add(digest_of(tmp_path))
        (tmp_path / name).write_text(texts[name])
    (tmp_path / "room" / "inner.py").rename(tmp_path / "room" / "renamed.py")
    seen.add(digest_of(tmp_path))
    (tmp_path / "room" / "added.py").write_text("")
    seen.add(digest_of(tmp_path))
    assert len(seen) == 5


def test_every_kernel_runs_in_the_default_floating_point_mode() -> None:
    kernels = [
        node
        for room in ("kernels", "memory", "small")
        for path in sorted((FOLDER / room).glob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and "kernel" in [ast.unparse(mark) for mark in node.decorator_list]
    ]
    assert len(kernels) > 10
    for node in kernels:
        _, first, *_, last = node.body  # behind the docstring
        assert ast.unparse(first) == "mode = default_mode()", node.name
        if isinstance(last, ast.Return):  # what is in memory, or no number
            assert ast.unparse(last) in ("return partials[0, 0]", "return stands"), node.name
            last = node.body[-2]
        assert ast.unparse(last) == "restore_mode(mode)", node.name


_ONE_KERNEL = """
from bce_conformance.native.compiled import default_mode, kernel, restore_mode

@kernel
def add(a, b):
    mode = default_mode()
    total = a + b
    restore_mode(mode)
    return total
"""
_CALL_IT = "input(); from one import add; add(1, 2); print(sum(add.stats.cache_misses.values()))"


def misses(tmp_path: Path, programs: list[str]) -> list[int]:
    """How many kernels each of some programs compiles that are started at once."""
    (tmp_path / "one.py").write_text(_ONE_KERNEL)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for program in programs
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [int(process.communicate(timeout=120)[0]) for process in running]


def test_of_several_processes_one_compiles_and_the_others_wait(tmp_path: Path) -> None:
    assert sorted(misses(tmp_path, [_CALL_IT] * 3)) == [0, 0, 1]


def test_processes_that_compile_for_different_types_lose_nothing_of_each_other(
    tmp_path: Path,
) -> None:
    calls = [_CALL_IT.replace("add(1, 2)", f"add({call})") for call in ("1, 2", "1., 2", "1, 2.")]
    assert misses(tmp_path, calls) == [1, 1, 1]
    assert misses(tmp_path, calls) == [0, 0, 0]


def test_helpers_compile_from_other_formats_on_until_all_is_marked_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, started, killed = tmp_path / "complete", [], []

    class Helper:
        def __init__(self, format_: int) -> None:
            started.append(format_)

        def kill(self) -> None:
            killed.append(self)

        def wait(self) -> None:
            pass

    monkeypatch.setattr(warmup, "marker", lambda: done)
    monkeypatch.setattr(warmup, "_helper", Helper)
    monkeypatch.setattr(warmup, "_compile", lambda dtype, case: None)
    for processors, formats in ((1, []), (2, [2]), (3, [1, 2]), (64, [1, 2, 3])):
        monkeypatch.setattr(warmup.config, "NUMBA_NUM_THREADS", processors)
        warmup.compile_all()
        assert (started, len(killed)) == (formats, len(formats))
        assert done.exists()
        warmup.compile_all()  # all is compiled
        assert started == formats
        done.unlink()
        started.clear()
        killed.clear()


def test_a_helper_compiles_every_format_its_own_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(warmup, "_compile", lambda dtype, case: seen.append((dtype, case)))
    warmup.help_from(2)
    assert seen[0] == (FORMATS[2], warmup.CASES[0])
    assert set(seen) == {(dtype, case) for dtype in FORMATS for case in warmup.CASES}
    assert len(seen) == len(FORMATS) * len(warmup.CASES)


def test_the_marker_is_of_these_sources_and_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    here = compiled.marker()
    assert here is not None
    monkeypatch.setattr(compiled, "FINGERPRINT", "other sources")
    assert compiled.marker() != here
