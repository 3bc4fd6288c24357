"""Truths kept on disk, found by what was asked, and the folder for compiled code.

Guarantees: a truth that is read back is the one that was computed, by this very code: the key is a
digest of the question and of the sources, the entry carries a checksum, and an entry that is
damaged, cut short or of another layout is deleted and computed again. Entries appear whole (written
aside, then renamed), so that concurrent processes may share the folder. Never raises for a folder
that cannot be written or read: then there is no cache.

The environment variable ``BCE_CONFORMANCE_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import platformdirs

from .problem import Outcome, Problem

VARIABLE = "BCE_CONFORMANCE_CACHE"
LIMIT = 2 << 30  # bytes of truths; the least recently used go first
CACHED_FROM = 2  # elements: one is computed sooner than found
_DIGEST = 32
_MAGIC = b"bce-truth-2\n"
_SAMPLE = 1 << 14  # bytes of an entry that tell whether packing it pays
# By folder: the bytes that it held when it was last looked at and those added since; the latter.
_held: dict[Path, tuple[int, int]] = {}


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds: ``path``, whether it is ``enabled``, entries and bytes of truths.

    ``limit`` bounds ``bytes``; ``compiled_bytes`` is what compiled code takes beside them.
    """

    path: Path
    enabled: bool
    entries: int
    bytes: int
    limit: int
    compiled_bytes: int


def enabled() -> bool:
    """Tell whether truths are kept."""
    return os.environ.get(VARIABLE, "") != "off"


def folder() -> Path:
    """Return the cache's folder, whether or not it exists."""
    named = os.environ.get(VARIABLE, "")
    if named in ("", "off"):
        return platformdirs.user_cache_path("bce-conformance")
    return Path(named)


@lru_cache(maxsize=1)
def sources_digest() -> str:
    """Return a digest of this package's sources: other code is another cache."""
    digest = blake2b(digest_size=8)
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compiled_folder(name: str = "") -> Path:
    """Return the folder for compiled code: that of these sources by Numba, or another's by name."""
    return folder() / "compiled" / (name or sources_digest())


def _key(problem: Problem, method: str) -> str:
    digest = blake2b(digest_size=20)
    present = [col is not None for col in problem.columns]
    question = (
        sources_digest(),
        method,
        problem.quantity,
        problem.shape,
        problem.count,
        problem.fmt.name,
        problem.columns[0].size,
        present,
        problem.groups is not None,
    )
    digest.update(repr(question).encode())
    for array in (*problem.columns, problem.groups):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def entry(problem: Problem, method: str) -> Path | None:
    """Return where the truth of a problem is kept, or None where it is not.

    It reads every operand, which for a large problem takes as long as a truth that is read back.
    """
    if not enabled() or problem.columns[0].size < CACHED_FROM:
        return None
    return folder() / "truths" / f"{_key(problem, method)}.truth"


def load(path: Path, size: int) -> Outcome | None:
    """Return a truth of ``size`` results that was kept, or None."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    outcome = _decoded(content, size)
    with suppress(OSError):
        if outcome is None:
            path.unlink(missing_ok=True)
        else:
            os.utime(path)  # most recently used
    return outcome


def keep(path: Path, outcome: Outcome) -> None:
    """Keep a truth, and drop the least recently used beyond the limit."""
    content = _encoded(outcome)
    if len(content) > LIMIT:
        return
    with suppress(OSError):
        _write_whole(path, content)
        _trim(path.parent, len(content))


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file aside and rename it."""
    aside = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def kept_text(name: str, make: Callable[[], str | None]) -> str | None:
    """Return a text that takes long to make, from the folder for compiled code if it is there.

    Args:
        name: of its file, with the version of what makes it.
        make: makes it; None where it cannot, of which nothing is kept.
    """
    path = compiled_folder("texts") / name
    if enabled():
        with suppress(OSError, zlib.error, UnicodeDecodeError):
            return zlib.decompress(path.read_bytes()).decode()
    text = make()
    if text is not None and enabled():
        with suppress(OSError):
            _write_whole(path, zlib.compress(text.encode()))
    return text


def _encoded(outcome: Outcome) -> bytes:
    body = b"".join(
        np.ascontiguousarray(array, kind).tobytes()
        for array, kind in (
            (outcome.nearest, "<f8"),
            (outcome.offset, "<f8"),
            (outcome.precision, "<i4"),
        )
    )
    packed = _repeats(body)
    header = json.dumps({"size": outcome.nearest.size, "packed": packed}).encode() + b"\n"
    body = zlib.compress(body, 1) if packed else body
    checksum = blake2b(header + body, digest_size=_DIGEST).digest()
    return _MAGIC + checksum + header + body


def _repeats(body: bytes) -> bool:
    """Whether an entry gets much smaller by packing, as where few elements are distinct."""
    sample = body[:_SAMPLE]
    return 4 * len(zlib.compress(sample, 1)) < len(sample)


def _decoded(content: bytes, size: int) -> Outcome | None:
    """Return what an entry holds, or None where anything about it is wrong."""
    start = len(_MAGIC) + _DIGEST
    payload = memoryview(content)[start:]
    if content[: len(_MAGIC)] != _MAGIC:
        return None
    if blake2b(payload, digest_size=_DIGEST).digest() != content[len(_MAGIC) : start]:
        return None
    first = start + bytes(payload[:100]).index(b"\n") + 1
    header, body = json.loads(content[start:first]), content[first:]
    if header["packed"]:
        body = zlib.decompress(body, bufsize=20 * size)
    if header["size"] != size or len(body) != 20 * size:
        return None
    nearest = np.frombuffer(body, "<f8", size)
    offset = np.frombuffer(body, "<f8", size, 8 * size)
    precision = np.frombuffer(body, "<i4", size, 16 * size)
    return Outcome(nearest.astype(float), offset.astype(float), precision.astype(np.int32))


def _entries(truths: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each entry was last used, its size and its path; another process may delete it."""
    with suppress(OSError), os.scandir(truths) as found:
        for entry in found:
            with suppress(OSError):
                status = entry.stat()
                yield status.st_mtime, status.st_size, Path(entry.path)


def _trim(truths: Path, added: int) -> None:
    """Drop the least recently used beyond the limit, an eighth of it at least.

    The folder is looked at when what is known of it and what was added may be too much: to look at
    thousands of entries takes longer than most truths. Other processes add to it unseen for as long
    as this one has not added an eighth of the limit.
    """
    held, unseen = _held.get(truths, (LIMIT, LIMIT))
    held, unseen = held + added, unseen + added
    if held > LIMIT or unseen > LIMIT // 8:
        entries = sorted(_entries(truths))
        held, unseen = sum(size for _, size, _ in entries), 0
        keep_down_to = LIMIT - LIMIT // 8 if held > LIMIT else LIMIT
        for _, size, path in entries:
            if held <= keep_down_to:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
            held -= size
    _held[truths] = held, unseen


def info() -> CacheInfo:
    """Describe the cache."""
    entries = list(_entries(folder() / "truths"))
    compiled = folder() / "compiled"
    compiled_bytes = sum(path.stat().st_size for path in compiled.rglob("*") if path.is_file())
    size = sum(size for _, size, _ in entries)
    return CacheInfo(folder(), enabled(), len(entries), size, LIMIT, compiled_bytes)


def clear() -> CacheInfo:
    """Delete every truth and all compiled code; return what there was."""
    before = info()
    for name in ("truths", "compiled"):
        shutil.rmtree(folder() / name, ignore_errors=True)
    return before
