"""What a public project says of itself is true of it."""

import re
from pathlib import Path

import bce_conformance
from bce_conformance.backends import builtin_backends
from bce_conformance.conformance.specification import requirements

ROOT = Path(__file__).parents[1]


def test_the_workflow_runs_targets_that_there_are() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    targets = set(re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    known = {name for line in targets for name in line.split()}
    commands = re.findall(r'command: "(.*)"', text)
    assert len(commands) == 3
    for command in commands:
        program, *words = command.split()
        if program == "make":
            assert set(words) <= known
        else:
            assert [(ROOT / word).exists() for word in words] == [True]


def test_the_citation_has_the_version() -> None:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {bce_conformance.__version__}\n" in text


def test_hooks_run_what_lint_runs() -> None:
    entries = re.findall(
        r"entry: \.venv/bin/(.*)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    )
    lint = (ROOT / "Makefile").read_text("utf-8")
    assert entries
    assert all(f"$(BIN)/{entry} ." in lint for entry in entries)


def test_the_readme_counts_right() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    on_request = sum(spec.on_request for spec in builtin_backends())
    assert f"in 6 implementations and {on_request} more on request" in text
    frameworks = {spec.id.partition(":")[0] for spec in builtin_backends() if not spec.on_request}
    assert len(frameworks) == 6
    assert f"by {len(requirements())} requirements of a" in text.replace("\n", " ")
