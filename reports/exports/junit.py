"""JUnit: a run as the XML that continuous integration reads.

A backend is a test suite, a cell a test. A test fails where its cell is worse than the ledger of
known deviations says, so that a build breaks when something got worse. What is unsupported or was
not measured is skipped. A test's output says what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from xml.etree import ElementTree

from bce_conformance.reports.grid import UNMEASURED
from bce_conformance.reports.standing import moved
from bce_conformance.results.cells import Cell
from bce_conformance.results.model import BackendEntry, Results

_DIED = ("crashed", "timeout")
# What XML 1.0 cannot hold, not even as a reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(results: Results) -> str:
    """A run as JUnit's XML: a suite a backend, a test a cell."""
    root = ElementTree.Element("testsuites", name="bce-conformance")
    for backend in results.backends:
        cells = [cell for cell in results.cells if cell.backend == backend.id]
        if cells:
            root.append(_suite(results, backend, cells))
    _count(root, results.cells)
    ElementTree.indent(root)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}{ElementTree.tostring(root, encoding='unicode')}\n"


def _suite(results: Results, backend: BackendEntry, cells: Iterable[Cell]) -> ElementTree.Element:
    cells = list(cells)
    started = datetime.fromisoformat(results.run.started).replace(tzinfo=None, microsecond=0)
    suite = ElementTree.Element("testsuite", name=_clean(backend.id))
    suite.set("timestamp", started.isoformat())
    suite.set("hostname", "localhost")
    _count(suite, cells)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (
        ("version", backend.version),
        ("instruction_set", backend.instruction_set),
        ("tier", results.run.tier),
        ("commit", results.run.commit),
    ):
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    suite.extend(map(_case, cells))
    return suite


def _case(cell: Cell) -> ElementTree.Element:
    name = f"{cell.requirement}[{cell.dtype}]"
    place = f"{cell.backend}.{cell.device}"
    case = ElementTree.Element("testcase", classname=_clean(place), name=_clean(name), time="0")
    kind = _outcome(cell)
    if kind == "skipped":
        ElementTree.SubElement(case, kind, message=_clean(f"{cell.verdict}: {cell.detail}"))
    elif kind:
        told = ElementTree.SubElement(case, kind, message=_clean(moved(cell)), type=cell.verdict)
        told.text = _clean("\n".join(filter(None, (cell.detail, cell.reproduce, cell.log))))
    else:
        known = f", known: {cell.reason}" if cell.reason else ""
        output = ElementTree.SubElement(case, "system-out")
        output.text = _clean(f"{cell.verdict}{known}")
    return case


def _outcome(cell: Cell) -> str:
    """How a test ended: ``failure``, ``error``, ``skipped``, or passed, which is empty."""
    if not cell.expected:
        return "error" if cell.verdict in _DIED else "failure"
    return "skipped" if cell.verdict in UNMEASURED else ""


def _count(element: ElementTree.Element, cells: Iterable[Cell]) -> None:
    """Set how many tests there are, and how they ended; times of single cells are not recorded."""
    outcomes = [_outcome(cell) for cell in cells]
    element.set("tests", str(len(outcomes)))
    element.set("failures", str(outcomes.count("failure")))
    element.set("errors", str(outcomes.count("error")))
    if element.tag == "testsuite":
        element.set("skipped", str(outcomes.count("skipped")))
    element.set("time", "0")


def _clean(value: str) -> str:
    """A text without the characters that XML has no place for."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)
