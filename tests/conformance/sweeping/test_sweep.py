"""Whole sweeps of backends with and without planted faults."""

import ast
import sys
from importlib.util import find_spec, resolve_name
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import BackendProcess, resolve
from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.inputs.bounds import bounds_for
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.conformance.sweeping import document
from bce_conformance.conformance.sweeping.journal import Journal
from bce_conformance.conformance.sweeping.pipeline import Local, SweepError
from bce_conformance.conformance.sweeping.plan import plan
from bce_conformance.conformance.sweeping.sweep import _SOURCES, Sweep, Swept
from bce_conformance.reference import FORMATS, ground_truth, ulp_error


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert str(Path(__file__).parent) in sys.path


def swept(folder: Path, backend: str, *what: str | None) -> list[Swept]:
    with Journal(folder) as journal, BackendProcess(resolve(backend)) as process:
        sweep = Sweep(plan(*what), Local(process), journal)  # type: ignore[arg-type]
        sweep.run(lambda done, total: None)
        return sweep.results()


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_float16_equals_an_evaluation_by_hand(tmp_path: Path, backend: str) -> None:
    found = {
        (one.quantity, one.group.name): one.summary
        for one in swept(tmp_path, backend, "float16", "0,1,0.2998046875", "loss,grad_logits")
    }
    logits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    logits = logits[~np.isnan(logits)]
    assert len(found) == 6
    with BackendProcess(resolve(backend)) as process:
        for (quantity, target), summary in found.items():
            targets = np.full(logits.shape, float(target), np.float16)
            call = LossCall(logits, targets, reduction="none", quantities=(quantity,))
            got = process.evaluate(call).values[quantity]  # type: ignore[union-attr]
            truth = ground_truth(logits, targets, quantity=quantity, dtype="float16", cached=False)
            error = ulp_error(got, truth)
            judged = judge(got, truth, FORMATS["float16"], bounds_for(call, quantity))
            nan = (1 << 16) - logits.size
            counts = np.bincount(judged.levels, minlength=4)[::-1]
            assert [*document.levels(summary).values()] == [counts[0] + nan, *counts[1:]]
            right = (got == truth.nearest) & (np.signbit(got) == np.signbit(truth.nearest))
            assert summary.right == right.sum() + nan
            subnormal = (truth.nearest != 0) & (np.abs(truth.nearest) < 2.0**-14)
            flushed = (got == 0) & subnormal & (judged.levels < 3)
            assert summary.flushed == flushed.sum()
            assert summary.max == error[np.isfinite(logits) & ~flushed].max()
            assert summary.bins.sum() == (1 << 16) - flushed.sum()
            assert summary.bins[0] == nan + (error == 0).sum()
            for level, below in (("AAA", 3), ("AA", 2), ("A", 1)):
                lost = logits[judged.levels < below].astype(float)
                intervals = document.intervals(summary, level)
                assert sum(one["count"] for one in intervals) == lost.size
                if lost.size:
                    assert float.fromhex(intervals[0]["from"]) == lost.min()
                    assert float.fromhex(intervals[-1]["to"]) == lost.max()


def test_one_wrong_bit_pattern_of_float32_is_found(tmp_path: Path) -> None:
    area = "3f800000:3f8fffff"
    loss, gradient = swept(tmp_path, "planted:OnePattern", "float32", "1", "loss,grad_logits", area)
    assert loss.summary.points == gradient.summary.points == 1 << 20
    assert document.levels(loss.summary) == {"AAA": (1 << 20) - 1, "AA": 1, "A": 0, "fails": 0}
    assert document.levels(gradient.summary)["AAA"] == 1 << 20
    logit = float(np.uint32(0x3F812345).view(np.float32)).hex()
    assert document.intervals(loss.summary, "AAA") == [{"from": logit, "to": logit, "count": 1}]
    (worst, *_) = document.worst(loss.summary, loss.summary.special)
    assert worst["logit"] == logit
    assert 1.5 <= worst["ulp"] <= 2.5


@pytest.mark.slow
def test_one_wrong_pair_of_float16_is_found(tmp_path: Path) -> None:
    what = ("float16", "unit", "grad_logits", "4110:4111")
    (found,) = swept(tmp_path, "planted:OnePair", *what)
    assert found.summary.points == 2 * (0x3C01 + 1)  # from 0 to 1, and −0
    assert found.summary.lost.sum(axis=0).tolist() == [1, 1, 1]
    (worst, *_) = document.worst(found.summary, found.summary.special)
    logit, target = (float(np.uint16(bits).view(np.float16)).hex() for bits in (0x4111, 0x3801))
    assert (worst["logit"], worst["target"]) == (logit, target)
    assert float.fromhex(worst["got"]) == -float.fromhex(worst["exact"])


def test_a_crash_marks_its_piece_and_is_made_up_for(tmp_path: Path) -> None:
    what = ("float32", "0", "loss", "0:3fffff")
    (found,) = swept(tmp_path, "planted:DiesOnce", *what)
    ((piece, why),) = found.failures
    assert (piece.first, piece.last, why) == (0x100000, 0x200000, "crashed: exit code 3")
    assert found.summary.points == 3 << 20
    assert document.evidence(plan(*what), found) == "incomplete"


def test_a_backend_without_results_ends_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="gives no result: grad_logits is missing in the result"):
        swept(tmp_path, "planted:NoGradient", "float32", "0", "loss,grad_logits", "0:ffffff")


def test_ranges_add_up_and_finished_pieces_are_not_evaluated_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, BackendProcess(resolve("planted:Exact")) as process:
        for area in ("0:1fffff", "0:2fffff"):
            sweep = Sweep(plan("float32", "0", "loss", area), Local(process), journal)
            done: list[int] = []
            sweep.run(lambda points, total, done=done: done.append(points))
            assert sweep.done == sweep.plan.points
        assert done == [2 << 20, 3 << 20]


def imported(module: str) -> set[str]:
    """The modules of ours that a module imports from."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    nodes = [*ast.walk(ast.parse(Path(spec.origin).read_text("utf-8")))]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {resolve_name("." * node.level + (node.module or ""), spec.parent) for node in froms}
    return {name for name in names if name.startswith("bce_conformance.")}


def test_the_digest_is_of_all_that_decides_levels() -> None:
    left, seen = ["bce_conformance.conformance.sweeping.evaluating"], set()
    while left:
        module = left.pop()
        folder, _, name = module.removeprefix("bce_conformance.").rpartition(".")
        if module in seen or _SOURCES.get((folder or name).partition(".")[0]) == ["*.py"]:
            continue
        seen.add(module)
        assert f"{name}.py" in _SOURCES.get(folder, ()), f"{module} decides levels"
        left += imported(module)
    assert {"bce_conformance.conformance.inputs.bounds"} <= seen


@pytest.mark.parametrize(("ulp", "shown"), [(0.5000001379, "0.500001"), (4.5, "4.5")])
def test_a_maximum_is_not_rounded_down_in_latex(ulp: float, shown: str) -> None:
    row = (
        dict.fromkeys(document.COLUMNS, "0")
        | {"max_ulp": ulp, "points": 1}
        | {"correctly_rounded": 1}
    )
    assert f"& 1 & {shown} &" in document.as_latex([row])


def test_samples_of_float64_are_searched(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, BackendProcess(resolve("planted:Exact")) as process:
        wanted = plan("float64", "0.5", "loss,grad_logits", samples=5000)
        sweep = Sweep(wanted, Local(process), journal)
        sweep.run(lambda done, total: None)
        found = document.document(wanted, sweep.info, sweep.results())
    assert [one["evidence"] for one in found["results"]] == ["searched"] * 2
    assert [one["correctly_rounded"] for one in found["results"]] == [5000] * 2
    assert found["patterns"] is None
