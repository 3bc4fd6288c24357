"""Files as text: read where they are regular files, and nothing is waited for.

Guarantees that a pipe without a writer, a folder and a device without an end are errors at once.
"""

from __future__ import annotations

import os
import re
import stat
from errno import EINVAL
from pathlib import Path

USUAL_FOLDER = Path("reports/out")
"""Where a run goes that is given no other folder."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:Infinity|[0-9][0-9.eE+-]*)|NaN')
_KINDS = {
    stat.S_IFIFO: "is a pipe",
    stat.S_IFDIR: "is a folder",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def read_text(path: str | Path) -> str:
    """The text of a regular file, or of one that a symbolic link leads to.

    Args:
        path: the file, in UTF-8.

    Raises:
        OSError: it cannot be read, or is a pipe, a folder or a device; ``strerror`` says which.
        UnicodeDecodeError: it is not UTF-8.

    Example:
        >>> read_text("/dev/zero")
        Traceback (most recent call last):
        ...
        OSError: [Errno 22] is a device, not a file: '/dev/zero'
    """
    # Opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb", closefd=True) as file:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            what = _KINDS.get(kind, "is something else")
            raise OSError(EINVAL, f"{what}, not a file", str(path))
        return file.read().decode("utf-8")


def place_of(token: str, text: str) -> str:
    r"""Where a number or a constant stands in JSON, outside of its texts: line and column.

    Args:
        token: as it is written, such as ``NaN``.
        text: the JSON.

    Example:
        >>> place_of("NaN", '{"NaN":\n [NaN]}')
        'line 2, column 3'
    """
    found = next((one for one in _TOKEN.finditer(text) if one[0] == token), None)
    at = found.start() if found else 0
    line, begin = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at)
    return f"line {line}, column {at - begin}"
