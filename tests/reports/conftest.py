"""A realistic results document, made without a framework: what the tests of reports/ render."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from bce_conformance.conformance.findings.reading import defects
from bce_conformance.results import writing
from tests.reports.browsing import Reader

Document = dict[str, Any]

DEFECTS = ["torch-gradient-saturates", "torch-loss-cancels", "torch-mean-overflows"]

FRAMEWORKS = {
    "native": "0.1.0",
    "torch": "2.13.0",
    "paddle": "3.3.1",
    "tensorflow": "2.21.0",
    "jax": "0.10.2",
    "optax": "0.2.8",
}
FAMILIES = {
    "VAL": "The loss equals the correctly rounded value of the definition for hard targets",
    "INF": "The loss of an infinite logit is the limit of the definition",
    "GRAD": "The gradient with respect to the logits keeps its relative accuracy in both tails",
    "BRD": "A weight of shape [N, 1] is applied along the first axis",
    "RED": "The mean divides by the number of elements, not by the sum of the weights",
}
DTYPES = ("float16", "bfloat16", "float32", "float64")
# Decades of the largest finite logit.
DECADES = {"float16": 4.8, "bfloat16": 38, "float32": 38, "float64": 308}
# Per backend: how its cells fall, most frequent first. Every verdict occurs.
VERDICTS = {
    "native": ("AAA", "AAA", "AAA", "AAA"),
    "torch": ("AAA", "fails", "AA", "AAA", "A"),
    "paddle": ("fails", "AA", "AAA", "timeout", "A"),
    "tensorflow": ("A", "AA", "fails", "AAA", "unsupported"),
    "jax": ("AA", "A", "AA", "AAA", "not measured"),
    "optax": ("AA", "A", "AAA", "crashed", "A"),
}
HOST = {
    "cpu": "AMD EPYC",
    "cores": 2,
    "memory_bytes": 25276502016,
    "os": "Linux 6.1",
    "python": "3.11.7",
}
ULP_MAX = {"AAA": 0.5, "AA": 3.25, "A": 6.1e6, "fails": "inf"}


def _cell(requirement: str, backend: str, dtype: str, turn: int) -> Document:
    verdict = VERDICTS[backend][turn % len(VERDICTS[backend])]
    measured = verdict in ULP_MAX
    return {
        "requirement": requirement,
        "backend": backend,
        "device": "cpu",
        "dtype": dtype,
        "verdict": verdict,
        "expected": not (backend == "paddle" and turn % 40 == 3),
        "reason": "" if verdict == "AAA" else f"log(1 + e) where log1p(e) is needed: {verdict}",
        "inputs": 65536 + turn if measured else 0,
        "evidence": "exhaustive" if dtype in ("float16", "bfloat16") else "searched",
        "ulp": {
            "max": ULP_MAX[verdict],
            "p99": 0.5,
            "mean": 0.2512 if verdict != "fails" else "inf",
            "correctly_rounded": 0.998,
            **({"histogram": [60000, 5000, 400, 50, 0, 80]} if dtype == "float32" else {}),
        }
        if measured
        else None,
        "worst": {
            "logit": "0x1.62e430p+4",
            "target": "0x0.0p+0",
            "weight": None,
            "pos_weight": "0x1.8p+1",
            "got": "nan" if verdict == "fails" else "0x1.fffffep-1",
            "exact": "-0x1.000000p+0",
        }
        if measured
        else None,
        "detail": f"largest error at logits near 22 ({dtype})" if measured else "SIGSEGV",
        "reproduce": f"bce-conformance explain {backend} --logit 0x1.62e430p+4 --target 0x0p+0",
    }


def _curve(backend: str, dtype: str, quantity: str, target: str, count: int) -> Document:
    tail = np.logspace(-30, DECADES[dtype], count)
    logits = np.concatenate([-tail[::-1], [0.0], tail])
    noise = 0.35 + 0.15 * np.sin(np.arange(logits.size) * 1.7)
    lost = {"native": 0.0, "torch": 1.0, "paddle": 0.6, "tensorflow": 0.3, "jax": 0.3}
    side = -1.0 if (target == "0") == (quantity == "loss") else 1.0
    growth = np.exp(np.clip(side * logits, 0, 16)) * lost.get(backend, 0.2)
    ulps = np.where(np.abs(logits) < 1e3, noise + growth * (growth > 1.2), noise)
    points = [[float(x), round(float(u), 4)] for x, u in zip(logits, ulps, strict=True)]
    if backend == "paddle" and quantity == "loss":
        middle = len(points) // 2
        for place in range(middle + 48 * count // 60, middle + 50 * count // 60):
            points[place][1] = "inf"
    return {
        "backend": backend,
        "device": "cpu",
        "dtype": dtype,
        "quantity": quantity,
        "target": target,
        "points": points,
    }


def _map(backend: str, dtype: str, quantity: str) -> Document:
    """Torch is wrong where a target is small and the logit large; nobody tried one row."""
    logits, targets = [-1000.0, -10.0, 0.0, 10.0, 1000.0], [0.0, 0.25, 0.5, 1.0]
    torch = backend == "torch"
    rows = [[0.5, 0.5, 3.5, "inf" if torch else 0.5], [None] * 4, [0.5, 0.25, 1234.0, 0.0]]
    found = {"backend": backend, "device": "cpu", "dtype": dtype, "quantity": quantity}
    return found | {"logits": logits, "targets": targets, "ulps": rows}


def _timing(series: str, what: str, seconds: float | None) -> Document:
    return {
        "group": "sizes",
        "series": series,
        "device": "cpu",
        "dtype": "float32",
        "what": what,
        "size": 1_000_000,
        "regime": "moderate",
        "broadcasting": "none",
        "reduction": "mean",
        "threads": 0,
        "rounds": 5 if seconds else 0,
        "seconds": seconds,
        "low": seconds and 0.96 * seconds,
        "high": seconds and 1.2 * seconds,
        "ns_per_element": seconds and 1e3 * seconds,
        "gb_per_s": seconds and 8e-3 / seconds,
        "to_fastest": seconds and seconds / 2.7e-3,
        "to_limit": seconds and seconds / 2e-4,
        "status": "ok" if seconds else "crashed: SIGSEGV",
    }


def _timings() -> Document:
    series = {"native": 6e-4, "torch": 2.7e-3, "jax": None, "native again": 6.3e-4, "limit": 2e-4}
    return {
        "started": "2026-11-21T23:00:00Z",
        "finished": "2026-11-21T23:05:00Z",
        "interrupted": False,
        "argv": ["bce-conformance", "bench"],
        "commit": "6d84712",
        "host": dict(HOST),
        "rounds": 5,
        "versions": {"native": "0.1.0", "torch": "2.13.0", "jax": "0.10.2"},
        "measurements": [
            _timing(name, what, seconds)
            for what in ("forward", "gradient")
            for name, seconds in series.items()
        ],
    }


def build(per_family: int = 4, curve_points: int = 60) -> Document:
    """Five families × ``per_family`` requirements × six backends × four dtypes."""
    requirements = [
        {"id": f"{family}-{number}", "family": family, "text": f"{text} ({number})."}
        | ({"why": f"Training meets it <{number}>."} if family != "RED" else {})
        for family, text in FAMILIES.items()
        for number in range(1, per_family + 1)
    ]
    backends = [
        {
            "id": framework,
            "framework": framework,
            "version": version,
            "variant": "",
            "devices": [{"kind": "cpu", "name": "cpu"}],
            "dtypes": list(DTYPES),
            "composed": ["weight", "grad_weight"] if framework == "tensorflow" else [],
            "status": "ok",
        }
        for framework, version in FRAMEWORKS.items()
    ]
    absent = {"id": "torch:compile", "framework": "torch", "variant": "compile", "version": ""}
    absent |= {"devices": [], "dtypes": [], "composed": [], "status": "not installed"}
    keys = [(r["id"], b["id"], d) for b in backends for r in requirements for d in DTYPES]
    return {
        "schema": 1,
        "run": {
            "id": "20261121T220000Z-1",
            "started": "2026-11-21T22:00:00Z",
            "finished": "2026-11-21T22:03:41.5Z",
            "tier": "default",
            "argv": ["bce-conformance", "run", "--tier", "default"],
            "commit": "6d84712",
            "host": dict(HOST),
            "interrupted": False,
            "inputs": 51234567,
            "seed": 20261121,
            "leaves_out": ["every float32 logit (thorough)"],
        },
        "backends": [*backends, absent],
        "requirements": requirements,
        "cells": [_cell(*key, turn) for turn, key in enumerate(keys)],
        "curves": [
            _curve(backend, dtype, quantity, target, curve_points)
            for backend in FRAMEWORKS
            for dtype in DTYPES
            for quantity in ("loss", "grad_logits")
            for target in ("0", "1", "soft")
        ],
        "maps": [
            _map(backend, dtype, quantity)
            for backend in ("native", "torch")
            for dtype in ("float32", "float64")
            for quantity in ("loss", "grad_logits")
        ],
        "timings": _timings(),
    }


@pytest.fixture(scope="session")
def builder() -> Callable[..., Document]:
    return build


@pytest.fixture(scope="session")
def _document() -> Document:
    return build()


@pytest.fixture
def document(_document: Document) -> Document:
    """A fresh copy for each test, so that one may damage it."""
    return copy.deepcopy(_document)


@pytest.fixture
def known(document: Document) -> Document:
    """A run in which torch has two defects of its own cells, and a third that shares cells."""
    for cell in document["cells"]:
        cell |= {"expected": True}
        if cell["backend"] == "torch":
            cell |= {"verdict": "AAA", "reason": ""}
    torch = [cell for cell in document["cells"] if cell["backend"] == "torch"]
    torch[0] |= {"verdict": "A", "reason": "σ(x) is rounded to 1", "defects": DEFECTS[:1]}
    for cell in torch[1:4]:
        cell |= {"verdict": "fails", "reason": "the sum overflows", "defects": DEFECTS[2:]}
    for cell in torch[4:6]:
        cell |= {"verdict": "fails", "reason": "several", "defects": DEFECTS[1:]}
    torch[6] |= {"verdict": "AA", "reason": "rounding"}
    chosen = [defects()[name] for name in DEFECTS]
    return document | {"defects": [writing.plain(one) for one in chosen]}


@pytest.fixture
def browser(the_browser: Browser, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(the_browser, tmp_path)
    yield reader
    reader.close()
