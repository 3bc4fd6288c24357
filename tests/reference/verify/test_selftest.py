"""The independence checks in CI's size, and that they can fail."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from bce_conformance.reference import FORMATS
from bce_conformance.reference.quantities import QUANTITIES
from bce_conformance.reference.slow import certified, enclosure
from bce_conformance.reference.verify import selftest, throughput


def quiet():
    return Console(file=io.StringIO())


def chunks(check, quantity, random, adversarial):
    """Points of one quantity, spread over the formats, in chunks of 2500."""
    size = 2500
    return [
        selftest.Task(check, quantity, name, kind, size, seed)
        for number, name in enumerate(FORMATS)
        for kind, total in (("random", random), ("adversarial", adversarial))
        for seed in range(number, total // size, len(FORMATS))
    ]


@pytest.mark.slow
def test_a_hundred_thousand_points_a_quantity_agree_with_arb():
    tasks = [
        task
        for quantity in QUANTITIES
        for task in chunks("truth against arb", quantity, 90_000, 10_000)
    ]
    findings = selftest.run(tasks, 2, quiet())
    assert sum(f.compared for f in findings) == 100_000 * len(QUANTITIES)
    assert [fault for f in findings for fault in f.faults][:3] == []


@pytest.mark.slow
def test_two_hundred_thousand_points_have_the_bits_of_the_slow_path():
    tasks = [
        task
        for i, quantity in enumerate(QUANTITIES)
        for task in chunks("fast against slow", quantity, 10_000, 12_500 if i % 2 else 10_000)
    ]
    findings = selftest.run(tasks, 2, quiet())
    adversarial = [f for f in findings if f.task.kind == "adversarial"]
    assert sum(f.compared + f.undecided for f in adversarial) >= 100_000
    assert sum(f.undecided for f in findings if f.task.kind == "random") == 0
    assert [fault for f in findings for fault in f.faults][:3] == []


def test_the_command_says_what_it_tried(capsys):
    assert selftest.main(["--points", "160", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("0 disagree") == 3
    assert "truth against arb: 1440 points compared" in printed


@pytest.mark.parametrize("arguments", [["--points", "0"], ["--workers", "0"], ["--check", "none"]])
def test_misuse_of_the_command(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        selftest.main(arguments)
    assert error.value.code == 2
    assert "error" in capsys.readouterr().err


def test_without_flint_the_check_that_needs_it_is_named(monkeypatch, capsys):
    monkeypatch.setattr(selftest, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        selftest.main(["--points=8"])
    told = " ".join(capsys.readouterr().err.split())
    assert "truth against arb needs python-flint: pip install python-flint, or give " in told
    assert "--check 'fast against slow' --check 'slow against mpmath'" in told
    assert selftest.main(["--points=8", "--check=fast against slow", "--workers=1"]) == 0


def test_a_check_that_compared_nothing_is_a_fault():
    assert selftest.report(["truth against arb"], [], quiet()) == 1


@pytest.mark.parametrize("check", selftest.CHECKS)
def test_every_check_sees_a_wrong_slow_path(check, monkeypatch):
    """An enclosure that is off by 2^-60 of its value, in a format where that matters at times."""
    real = enclosure.sigmoid_tail

    def wrong(man, exp, precision):
        low, high, exponent = real(man, exp, precision)
        return low + (low >> 24), high + (low >> 24), exponent

    certified._enclose.cache_clear()
    monkeypatch.setitem(certified.FUNCTIONS, "sigmoid_tail", wrong)
    real_truth = selftest.ground_truth

    def slow_if_auto(*args, method, **options):
        return real_truth(*args, method="certified" if method == "auto" else method, **options)

    monkeypatch.setattr(selftest, "ground_truth", slow_if_auto)
    finding = selftest.run_task(selftest.Task(check, "grad_logits", "float32", "random", 100, 1))
    certified._enclose.cache_clear()
    assert len(finding.faults) > 20
    assert "logits=0x" in finding.faults[0] or "logits=-0x" in finding.faults[0]
    assert selftest.report([check], [finding], quiet()) > 20


def test_every_check_passes_the_right_one():
    for check in selftest.CHECKS:
        task = selftest.Task(check, "grad_logits", "float32", "random", 100, 1)
        assert selftest.run_task(task).faults == ()
        assert np.isfinite(selftest.run_task(task).worst)


def test_throughput_says_when_a_goal_is_missed():
    assert throughput._rate("x", 2e6, 1e6).met
    missed = throughput._rate("x", 0.5e6, 1e6)
    assert not missed.met
    assert missed.measured == "0.5 million points a second a core"
