"""The sizes that keep modules, functions and folders readable, and no lines written twice."""

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUBPACKAGES = ("results", "reference", "backends", "conformance", "timing", "reports")
OWN = (*SUBPACKAGES, "bce_conformance", "asv_benchmarks", "examples", "docs", "gpu")
MODULE_LINES = 400
FUNCTION_LINES = 60
ADAPTER_LINES = 60  # of a library that is measured on request: as many are too many
MODULES_A_FOLDER = 12  # beside __init__.py and __main__.py
REPEATED_LINES = 6  # of code: as many may not stand in two places
LAYOUT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not any(part.startswith(".") for part in path.parts)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def longest(source: str) -> Iterator[tuple[str, int]]:
    """The functions that have too many lines, docstrings included, and how many they have."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.name, lines


def left_out(tree: ast.AST) -> tuple[set[int], set[int]]:
    """The lines of imports and docstrings, and those of decorators and signatures."""
    passed: set[int] = set()
    headers: set[int] = set()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            passed.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, Function):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            headers.update(range(first, node.body[0].lineno))
    return passed, headers


def code(source: str) -> list[tuple[int, str]]:
    """The lines of code, numbered, without comments, imports, docstrings and lone brackets.

    Those of signatures are empty: what stands before one and after it is no run of lines.
    """
    text = source.splitlines()
    ends: dict[int, int] = {}  # line → where its code ends, before a comment
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            ends |= {n: len(text[n - 1]) for n in range(token.start[0], token.end[0])}
            ends[token.end[0]] = token.end[1]
    passed, headers = left_out(ast.parse(source))
    lines = [
        (number, "" if number in headers else text[number - 1][:end].strip())
        for number, end in sorted(ends.items())
        if number not in passed
    ]
    return [(number, line) for number, line in lines if not line or line.strip(")]},: ")]


def repeated(sources: Iterable[tuple[str, str]]) -> list[str]:
    """Where lines of code stand that stand elsewhere too, from their first line on."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, source in sources:
        lines = code(source)
        for start in range(len(lines) - REPEATED_LINES + 1):
            run = lines[start : start + REPEATED_LINES]
            if all(line for _, line in run):
                places[tuple(line for _, line in run)].append(f"{name}:{run[0][0]}")
    return [" = ".join(found) for found in places.values() if len(found) > 1]


def test_no_module_is_too_long() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in modules(*OWN, "tests")}
    assert len(sizes) > 100
    too_long = {named(path): size for path, size in sizes.items() if size > MODULE_LINES}
    assert too_long == {}


def test_no_function_is_too_long() -> None:
    too_long = {
        f"{named(path)}: {name}": lines
        for path in modules(*OWN, "tests")
        for name, lines in longest(path.read_text("utf-8"))
    }
    assert too_long == {}


def test_a_long_function_is_seen_wherever_it_is() -> None:
    body = "        pass\n" * FUNCTION_LINES
    source = f"class A:\n    def f(self):\n{body}\n    async def g(self):\n{body[13:]}"
    assert list(longest(source)) == [("f", FUNCTION_LINES + 1)]


def test_no_folder_has_too_many_modules() -> None:
    folders: dict[str, list[str]] = defaultdict(list)
    for path in modules(*OWN, "tests"):
        if path.name not in ("__init__.py", "__main__.py"):
            folders[named(path.parent)].append(path.name)
    assert len(folders) > 10
    assert {f: len(names) for f, names in folders.items() if len(names) > MODULES_A_FOLDER} == {}


def test_an_adapter_of_a_library_is_short() -> None:
    """What several share is in the folder ``kinds`` beside them."""
    adapters = modules("backends/adapters/libraries")
    assert len(adapters) > 5
    sizes = {named(path): len(path.read_text("utf-8").splitlines()) for path in adapters}
    assert {name: size for name, size in sizes.items() if size >= ADAPTER_LINES} == {}


def test_no_lines_are_written_twice() -> None:
    assert repeated((named(path), path.read_text("utf-8")) for path in modules(*OWN)) == []


LINES = [f"a{number} = {number}" for number in range(REPEATED_LINES)]


def test_repeated_lines_are_seen_across_modules_and_within_one() -> None:
    text = "\n".join(LINES)
    assert repeated([("one", text), ("other", "\n".join(LINES[1:]))]) == []
    assert repeated([("one", text), ("other", f"\n{text}")]) == ["one:1 = other:2"]
    indented = [f"    {line}" for line in LINES]
    assert repeated([("one", "\n".join(["if a:", *indented, *LINES]))]) == ["one:2 = one:8"]


def test_comments_and_lone_brackets_make_no_difference() -> None:
    dressed = "\n".join(f"\n# why\n{line}  # because" for line in LINES)
    assert repeated([("one", "\n".join(LINES)), ("other", dressed)]) == ["one:1 = other:3"]
    calls = "\n".join(f"f(\n    {number},\n)" for number in range(REPEATED_LINES // 2))
    assert repeated([("one", calls), ("other", calls)]) == ["one:1 = other:1"]
    fewer = calls.removesuffix("2,\n)") + "3,\n)"
    assert repeated([("one", calls), ("other", fewer)]) == []


def test_imports_docstrings_and_signatures_may_be_alike() -> None:
    imports = "\n".join(f"import a{number}" for number in range(REPEATED_LINES))
    text = "\n".join(["def f():", '    """Text.', *("    text" for _ in LINES), '    """'])
    signature = "\n".join(["def f(", *(f"    {line}," for line in LINES), "): ..."])
    for source in (imports, text, signature):
        assert repeated([("one", source), ("other", source)]) == []
