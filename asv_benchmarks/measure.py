"""Runs asv for the Makefile and for CI: this commit, two commits side by side, or a check.

``python asv_benchmarks/measure.py bench|continuous|check --help``

Guarantees that a run which measured nothing never ends with 0, that changed sources are not
recorded under the commit that they were changed from, and PYTHONHASHSEED=0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv import environment, util
from asv.config import Config
from asv.results import Results

from bce_conformance.backends import builtin_backends, resolve

HERE = Path(__file__).resolve().parent
CONFIGURATION = HERE / "asv.conf.json"
VARIABLE = "BCE_BENCHMARK_BACKENDS"  # read in benchmarks/common.py

CHECKED = ("native", "torch")
"""Frameworks of the quick pass: the implementation of this package, and one with a variant."""

FACTOR = 1.25
STEADY = r"^(speed\.Processor|accuracy\.|memory\.Peak)"
"""How ``continuous`` tells a change from noise, and what it looks at unless it is told otherwise:
figures that a busy machine does not move. README.md has the measurements behind them."""

NOT_RUN = re.compile(r"^[^±]*\bn/a\s*$")
"""A row of asv's tables in which no time was measured."""

SPAWNED = ("--launch-method", "spawn", "--show-stderr")
"""No benchmark starts with what another left behind; CUDA does not survive a fork."""

ONCE = ("--attribute", "rounds=1")
"""Rounds are for taking turns with another commit."""

Result = list[float | None]


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for action in (bench, continuous, check):
        command = commands.add_parser(action.__name__, help=action.__doc__)
        command.set_defaults(action=action)
        if action is not check:
            command.add_argument("--framework", default="native", help="whose backends")
            command.add_argument("--bench", default="", help="regular expression of benchmarks")
        if action is continuous:
            command.add_argument("--base", default="main", help="commit to compare with")
            command.add_argument("--rounds", type=int, help="instead of each benchmark's own")
            command.add_argument("--factor", type=float, default=FACTOR)
    options = parser.parse_args()
    os.chdir(HERE)
    os.environ["PYTHONHASHSEED"] = "0"
    asv("machine", "--yes", quiet=True)
    return int(options.action(options))


def bench(options: argparse.Namespace) -> int:
    """Measure this commit in this environment."""
    os.environ[VARIABLE] = options.framework
    changed = git("status", "--porcelain", "--untracked-files=no")
    if changed:
        print("the sources are changed: nothing is recorded")
        with aside() as (configuration, folder):
            return _bench(configuration, folder, selection(options), *ONCE)
    return _bench(CONFIGURATION, HERE / ".asv/results", selection(options), *ONCE)


def _bench(
    configuration: Path, results: Path, selected: str, *more: str, expected: Iterable[str] = ()
) -> int:
    here = f"existing:{sys.executable}"
    head = git("rev-parse", "HEAD")
    code = asv(
        *("run", *SPAWNED, "--environment", here, "--set-commit-hash", head),
        *("--bench", selected, *more),
        configuration=configuration,
    )
    return code or tell(measured(results, f"{head[:8]}-existing*.json", selected), expected)


def continuous(options: argparse.Namespace) -> int:
    """Compare this commit with another, round by round in turns; 1 where one got worse."""
    os.environ[VARIABLE] = options.framework
    selected = selection(options, STEADY)
    head = git("rev-parse", "HEAD")
    environment_name = environment_of(options.framework)
    rounds = ("--attribute", f"rounds={options.rounds}") if options.rounds else ()
    code = asv(
        *("continuous", *SPAWNED, "--interleave-rounds"),
        *("--environment", environment_name, "--bench", selected),
        *("--factor", str(options.factor), *rounds, options.base, head),
    )
    results = f"{head[:8]}-{environment_name}.json"  # no other environment of this commit's
    return code or tell(measured(HERE / ".asv/results", results, selected))


def check(_: argparse.Namespace) -> int:
    """Check the suite and run every benchmark once; 1 where one measured nothing."""
    os.environ[VARIABLE] = ",".join(CHECKED)
    code = asv("check", "--environment", f"existing:{sys.executable}")
    if code:
        return code
    with aside() as (configuration, folder):
        benchmarks = discovered(configuration, folder)
        missing = without_benchmark(benchmarks)
        if missing:
            print(f"registered, but without a benchmark: {', '.join(missing)}")
            return 1
        chosen = one_of_each(benchmarks)
        return _bench(configuration, folder, chosen, "--quick", expected=benchmarks)


def discovered(configuration: Path, results: Path) -> dict[str, list[list[str]]]:
    """All benchmarks by name, with the values of their parameters."""
    here = f"existing:{sys.executable}"
    asv(
        *("run", "--environment", here, "--bench", "just-discover"),
        configuration=configuration,
        quiet=True,
    )
    found = json.loads((results / "benchmarks.json").read_text("utf-8"))
    return {name: entry["params"] for name, entry in found.items() if isinstance(entry, dict)}


def without_benchmark(benchmarks: dict[str, list[list[str]]]) -> list[str]:
    """Registered backends that no benchmark has as a parameter, and that every run measures."""
    named = {value for params in benchmarks.values() for values in params for value in values}
    registered = (spec.id for spec in builtin_backends() if not spec.on_request)
    return [backend for backend in registered if repr(backend) not in named]


def one_of_each(benchmarks: dict[str, list[list[str]]]) -> str:
    """The first parameters of every benchmark, for each framework that is checked."""
    chosen = []
    for name, params in benchmarks.items():
        backends = [repr(f) for f in CHECKED if params and repr(f) in params[0]]
        rest = [values[0] for values in params[1:]]
        for first in backends or [values[0] for values in params[:1]]:
            chosen.append(re.escape(f"{name}({', '.join([first, *rest])})"))
        if not params:
            chosen.append(re.escape(name))
    return f"^({'|'.join(chosen)})$"


def measured(results: Path, pattern: str, selected: str) -> dict[str, Result]:
    """What the selected benchmarks measured: NaN for what was skipped, None for what failed."""
    names = json.loads((results / "benchmarks.json").read_text("utf-8"))
    found: dict[str, Result] = {}
    for path in results.glob(f"*/{pattern}"):
        recorded = Results.load(str(path), path.parent.name)
        for name in recorded.get_all_result_keys():
            params = names.get(name, {}).get("params")
            if params is not None:
                values = recorded.get_result_value(name, params)
                found[name] = [
                    v
                    for v, n in zip(values, spelt(name, params), strict=True)
                    if re.search(selected, n)
                ]
    return {name: values for name, values in found.items() if values}


def spelt(name: str, params: list[list[str]]) -> list[str]:
    """The names of a benchmark with each of its parameters, as asv selects them."""
    if not params:
        return [name]
    return [f"{name}({', '.join(combination)})" for combination in itertools.product(*params)]


def tell(found: dict[str, Result], expected: Iterable[str] = ()) -> int:
    """Say how much was measured; 1 where a benchmark failed, measured nothing or was not run."""
    figures = sum(v is not None and not math.isnan(v) for vs in found.values() for v in vs)
    nothing = [
        name
        for name, values in found.items()
        if None in values or all(v is None or math.isnan(v) for v in values)
    ]
    wrong = sorted({*nothing, *(set(expected) - set(found))})
    print(f"{figures} figures of {len(found)} benchmarks")
    for name in wrong:
        print(f"failed, or measured nothing: {name}")
    return int(bool(wrong) or not figures)


def selection(options: argparse.Namespace, files: str = "") -> str:
    """The regular expression of what is run: a framework's backends, and the suite itself.

    Args:
        options: of the command line; its ``--bench`` goes before everything.
        files: the start of the names that are run; all where it is empty.
    """
    of_framework = rf"{files}.*\('{options.framework}[:']"
    own = r"|^suite\." if options.framework == "native" and not files else ""
    return options.bench or of_framework + own


def environment_of(framework: str) -> str:
    """The name of the environment that holds a framework and no other."""
    wanted = set(resolve(framework).distributions)
    configuration = Config.load(str(CONFIGURATION))
    for one in environment.get_environments(configuration, None, verbose=False):
        present = set(one.requirements)
        if present & wanted or not present | wanted:
            return str(one.name)
    raise SystemExit(f"asv.conf.json has no environment for {framework!r}")


@contextmanager
def aside() -> Iterator[tuple[Path, Path]]:
    """The configuration with a folder for results that goes when they have been read."""
    with tempfile.TemporaryDirectory() as folder:
        content: dict[str, Any] = util.load_json(str(CONFIGURATION), js_comments=True)
        for name in ("repo", "benchmark_dir", "env_dir"):
            content[name] = str((HERE / content[name]).resolve())
        content["results_dir"] = str(Path(folder, "results"))
        configuration = Path(folder, "asv.conf.json")
        configuration.write_text(json.dumps(content), "utf-8")
        yield configuration, Path(content["results_dir"])


def asv(*arguments: str, configuration: Path = CONFIGURATION, quiet: bool = False) -> int:
    """Run asv, show what it prints but for the rows of what was not run, return its exit code."""
    command = [sys.executable, "-m", "asv", "--config", str(configuration), *arguments]
    output = subprocess.PIPE
    with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not quiet and not NOT_RUN.search(line):
                print(line, end="", flush=True)
    return process.returncode


def git(*arguments: str) -> str:
    """Return what git prints."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=HERE)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
