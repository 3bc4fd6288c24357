"""Compiled code is valid for the sources that it was compiled from, and for no others."""

from pathlib import Path

from bce_conformance.native.compiled import FINGERPRINT, digest_of

FOLDER = Path(__file__).parents[2] / "backends" / "native"


def test_the_fingerprint_is_that_of_every_module() -> None:
    assert digest_of(FOLDER) == FINGERPRINT


def test_any_change_of_any_module_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    texts = {"top.py": "a = 1\n", "room/inner.py": "b = 1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    seen = {digest_of(tmp_path)}
    for name in texts:
        (tmp_path / name).write_text("c = 1\n")
        seen.add(digest_of(tmp_path))
        (tmp_path / name).write_text(texts[name])
    (tmp_path / "room" / "inner.py").rename(tmp_path / "room" / "renamed.py")
    seen.add(digest_of(tmp_path))
    (tmp_path / "room" / "added.py").write_text("")
    seen.add(digest_of(tmp_path))
    assert len(seen) == 5
