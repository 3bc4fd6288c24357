"""The cache: never a wrong truth, whatever happens to its files."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from bce_conformance.reference import cache, ground_truth
from bce_conformance.reference import truth as truth_module

X = np.linspace(-5, 5, 100)
Y = np.linspace(0, 1, 100)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kept"))
    monkeypatch.setattr(cache, "_held", {})
    return tmp_path / "kept" / "truths"


@pytest.fixture
def computed(monkeypatch):
    calls = []
    real = truth_module._computed
    monkeypatch.setattr(truth_module, "_computed", lambda *a: calls.append(a) or real(*a))
    return calls


def entries(folder):
    return sorted(folder.iterdir()) if folder.exists() else []


def assert_equal(a, b):
    for name in ("nearest", "offset", "precision"):
        first, second = getattr(a, name), getattr(b, name)
        assert first.dtype == second.dtype
        assert first.shape == second.shape
        assert first.tobytes() == second.tobytes(), name


@pytest.mark.parametrize("options", [{}, {"reduction": "mean"}, {"dtype": "bfloat16"}])
def test_a_truth_is_computed_once_and_comes_back_bit_for_bit(folder, computed, options):
    x = X.copy()
    x[:4] = [np.nan, np.inf, -np.inf, -0.0]
    if options.get("reduction"):
        x = X
    first = ground_truth(x, Y, **options)
    second = ground_truth(x, Y, **options)
    assert len(computed) == 1
    assert_equal(first, second)
    assert second.exact(50 if first.nearest.ndim else ()) == first.exact(
        50 if first.nearest.ndim else ()
    )
    second.nearest.reshape(-1)[:1] = 0  # what comes back may be written to, and is nobody else's


def test_a_truth_of_few_distinct_elements_is_kept_in_little_room(folder, computed):
    x, y = (np.resize(row, 30_000) for row in (X, Y))
    first = ground_truth(x, y)
    (entry,) = entries(folder)
    assert entry.stat().st_size < 30_000
    assert_equal(ground_truth(x, y), first)
    assert len(computed) == 1
    ground_truth(np.linspace(-9, 9, 30_000), y)
    assert max(found.stat().st_size for found in entries(folder)) > 300_000


def test_a_truth_need_not_be_kept(folder, computed):
    kept = ground_truth(X, Y)
    (entry,) = entries(folder)
    entry.unlink()
    assert_equal(ground_truth(X, Y, cached=False), kept)
    assert len(computed) == 2
    assert entries(folder) == []


def test_every_part_of_the_question_is_part_of_the_key(folder, computed):
    one = np.ones(100)
    questions = [
        ((X, Y), {}),
        ((X + 1, Y), {}),
        ((X, Y * 0.5), {}),
        ((X, Y, one * 2), {}),
        ((X, Y, None, one * 2), {}),
        ((X, Y), {"dtype": "float64"}),
        ((X, Y), {"reduction": "mean"}),
        ((X, Y), {"reduction": "sum"}),
        ((X, Y), {"quantity": "grad_logits"}),
        ((X, Y), {"quantity": "grad_logits", "reduction": "mean"}),
        ((X, Y), {"quantity": "grad_logits", "cotangent": one * 3}),
        ((X, Y), {"method": "certified"}),
        ((X.reshape(10, 10), Y.reshape(10, 10)), {}),
        ((X.reshape(20, 5), Y.reshape(20, 5)), {}),
        ((X.reshape(10, 10), Y.reshape(10, 10), one[:10]), {"quantity": "grad_weight"}),
        ((X.reshape(10, 10), Y.reshape(10, 10), one[:10, None]), {"quantity": "grad_weight"}),
    ]
    for arguments, options in questions:
        ground_truth(*arguments, **options)
    assert len(computed) == len(questions) == len(entries(folder))


def test_other_sources_are_another_cache(folder, computed, monkeypatch):
    ground_truth(X, Y)
    monkeypatch.setattr(cache, "sources_digest", lambda: "other")
    ground_truth(X, Y)
    assert len(computed) == 2


def damage(content, how):
    if how == "flipped bit":
        return content[:700] + bytes([content[700] ^ 1]) + content[701:]
    if how == "flipped checksum":
        return content[:20] + bytes([content[20] ^ 1]) + content[21:]
    return {
        "cut short": content[:-9],
        "empty": b"",
        "foreign": b"not a truth\n",
        "header": content[:40],
    }[how]


@pytest.mark.parametrize(
    "how", ["flipped bit", "flipped checksum", "cut short", "empty", "foreign", "header"]
)
def test_a_damaged_entry_is_computed_again_and_replaced(folder, computed, how):
    good = ground_truth(X, Y)
    (entry,) = entries(folder)
    content = entry.read_bytes()
    entry.write_bytes(damage(content, how))
    assert_equal(ground_truth(X, Y), good)
    assert len(computed) == 2
    assert entry.read_bytes() == content
    ground_truth(X, Y)
    assert len(computed) == 2


def test_an_entry_of_another_question_under_this_name_is_refused(folder, computed):
    good = ground_truth(X, Y)
    (entry,) = entries(folder)
    ground_truth(X[:70], Y[:70])
    (other,) = (e for e in entries(folder) if e != entry)
    entry.write_bytes(other.read_bytes())
    assert_equal(ground_truth(X, Y), good)


def test_off_and_questions_of_one_element_leave_no_file(folder, computed, monkeypatch):
    ground_truth(X[:1], Y[:1])
    assert entries(folder) == []
    ground_truth(X[:2], Y[:2])
    assert len(entries(folder)) == 1
    cache.clear()
    monkeypatch.setenv(cache.VARIABLE, "off")
    ground_truth(X, Y)
    ground_truth(X, Y)
    assert len(computed) == 4
    assert not cache.info().enabled


def test_the_least_recently_used_go_first(folder, monkeypatch):
    for i in range(3):
        ground_truth(X + i, Y)
        for j, entry in enumerate(sorted(entries(folder), key=os.path.getmtime)):
            os.utime(entry, (1000 + j, 1000 + j))
    oldest, middle, newest = sorted(entries(folder), key=os.path.getmtime)
    ground_truth(X, Y)  # the oldest is used again
    monkeypatch.setattr(cache, "LIMIT", 7 * oldest.stat().st_size // 2)
    ground_truth(X + 9, Y)
    left = entries(folder)
    assert len(left) == 3
    assert middle not in left
    assert {oldest, newest} <= set(left)


def test_the_folder_is_not_looked_at_for_every_truth(folder, monkeypatch):
    looks = []
    real = cache._entries
    monkeypatch.setattr(cache, "_entries", lambda path: looks.append(path) or real(path))
    ground_truth(X, Y)
    size = entries(folder)[0].stat().st_size
    monkeypatch.setattr(cache, "LIMIT", 16 * size)
    for i in range(40):
        ground_truth(X + i, Y)
        assert cache.info().bytes <= 16 * size
    assert 10 < len(looks) - 40 < 25  # info() looks too; two truths are an eighth of the limit


def test_what_other_processes_add_is_seen_in_time(folder, monkeypatch):
    ground_truth(X, Y)
    size = entries(folder)[0].stat().st_size
    monkeypatch.setattr(cache, "LIMIT", 16 * size)
    for i in range(16):  # of another process
        (folder / f"{i}.truth").write_bytes(bytes(size))
    for i in range(3):
        ground_truth(X + 1 + i, Y)
    assert sum(entry.stat().st_size for entry in entries(folder)) <= 16 * size


def test_a_truth_larger_than_the_limit_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 100)
    ground_truth(X, Y)
    assert entries(folder) == []


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, computed):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv(cache.VARIABLE, str(file))
    ground_truth(X, Y)
    ground_truth(X, Y)
    assert len(computed) == 2
    assert cache.info().entries == 0


def test_info_and_clear(folder):
    ground_truth(X, Y)
    ground_truth(X, Y, reduction="sum")
    info = cache.info()
    assert (info.entries, info.enabled, info.path) == (2, True, folder.parent)
    assert info.bytes == sum(e.stat().st_size for e in entries(folder))
    assert cache.clear().entries == 2
    assert cache.info().entries == 0
    cache.clear()  # of nothing


WRITER = """
import numpy as np
from bce_conformance.reference import cache, ground_truth
x, y = np.linspace(-5, 5, 100), np.linspace(0, 1, 100)
seen = set()
for i in range(60):
    if i % 10 == 9:
        for path in (cache.folder() / "truths").iterdir():
            path.unlink(missing_ok=True)
    seen.add(ground_truth(x, y).nearest.tobytes())
assert len(seen) == 1, len(seen)
"""


def test_processes_share_the_folder(folder):
    others = [subprocess.Popen([sys.executable, "-c", WRITER], env=os.environ) for _ in range(3)]
    assert [other.wait(60) for other in others] == [0, 0, 0]
    assert [e for e in entries(folder) if e.suffix == ".part"] == []


def test_a_text_is_made_once_and_again_where_it_is_damaged(folder):
    made = []

    def make():
        made.append(1)
        return "ä" * len(made)

    assert [cache.kept_text("words-1", make) for _ in range(2)] == ["ä", "ä"]
    (path,) = (folder.parent / "compiled").rglob("words-1")
    path.write_bytes(path.read_bytes()[:-1])
    assert [cache.kept_text("words-1", make) for _ in range(2)] == ["ää", "ää"]
    assert cache.kept_text("words-2", make) == "äää"
    assert cache.kept_text("none", lambda: None) is None


def test_no_text_is_kept_where_nothing_is_or_nothing_can_be(folder, monkeypatch):
    assert cache.kept_text("none", lambda: None) is None
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert cache.kept_text("words", lambda: "one") == "one"
    assert not list(folder.parent.rglob("words"))
    blocked = folder.parent.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(blocked))
    assert cache.kept_text("words", lambda: "one") == "one"
