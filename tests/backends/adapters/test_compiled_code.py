"""Code that torch.compile keeps: what was made for one kind of vector unit serves no other."""

import os

import pytest

from bce_conformance.backends.adapters.torch import INDUCTOR_CACHE, keep_code_apart


def test_each_kind_of_vector_unit_has_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for capability in ("AVX2", "AVX512", "AVX2"):
        monkeypatch.setenv(INDUCTOR_CACHE, "/some/where")
        keep_code_apart(capability)
        folders.append(os.environ[INDUCTOR_CACHE])
        keep_code_apart(capability)
        assert os.environ[INDUCTOR_CACHE] == folders[-1]  # said twice, it is no other folder
    assert folders == ["/some/where-avx2", "/some/where-avx512", "/some/where-avx2"]


def test_the_folder_that_torch_would_take_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INDUCTOR_CACHE, raising=False)
    keep_code_apart("DEFAULT")
    assert os.environ[INDUCTOR_CACHE].endswith("-default")


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_has_a_folder_too(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def nobody() -> str:
        raise error("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setenv(INDUCTOR_CACHE, "/some/where")
    keep_code_apart("AVX2")
    assert os.environ[INDUCTOR_CACHE] == "/some/where-avx2"
    monkeypatch.delenv(INDUCTOR_CACHE)
    keep_code_apart("AVX2")
    assert os.environ[INDUCTOR_CACHE].endswith(f"torchinductor_{os.getuid()}-avx2")
