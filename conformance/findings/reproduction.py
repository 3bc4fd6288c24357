"""Reproductions: a defect as a program of the framework alone.

Guarantees that the program imports nothing of this suite, has fewer than 25 lines, prints what is
expected and what came back, and exits 1 while the defect is there, 0 once it is gone.
"""

from __future__ import annotations

import textwrap

from .harm import number

MOST_LINES = 24
_WIDTH = 88
# Four units in the last place, relative to the value: the bound of level AA.
_TOLERANCE = {"float16": "2**-8", "bfloat16": "2**-5", "float32": "2**-21", "float64": "2**-50"}


def script(title: str, imports: str, version: str, code: str, expected: str, dtype: str) -> str:
    """The text of a reproduce.py.

    Args:
        title: what is wrong, in a sentence.
        imports: the framework's import statements.
        version: the framework's name and version, as an f-string has them.
        code: statements that leave what came back in ``got``, a number or words.
        expected: the exact value with its digits, or what should come back in words.
        dtype: the format of the result, which says how far off it may be.
    """
    exact = number(expected)
    if exact is None:
        literal, right = repr(expected), "got == expected"
    else:
        literal = expected if exact - exact == 0 else f'float("{expected}")'
        right = f"got == expected or abs(got - expected) <= {_TOLERANCE[dtype]} * abs(expected)"
    return "\n".join(
        [
            textwrap.fill(f'"""{title}', _WIDTH),
            "",
            'Exits 1 while this is so, 0 once it is mended."""',
            "",
            "import sys",
            "",
            imports.strip(),
            "",
            code.strip(),
            f"expected = {literal}",
            f'print(f"{version}: expected {{expected}}, got {{got}}")',
            f"sys.exit(not ({right}))",
            "",
        ]
    )
