"""What is caught becomes a witness of a pool that could have drawn it, and a run tries it."""

from pathlib import Path

import pytest

from bce_conformance.conformance.checks.numbers.test_values import moderate, soft_targets
from bce_conformance.conformance.hunting.corpus import add, witness_of
from bce_conformance.conformance.hunting.hunt import Catch
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.ledger.model import LedgerError
from bce_conformance.conformance.ledger.reading import read
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FLOAT32, format_of
from bce_conformance.results.cells import Witness

TIERS_OF_RUNS = [TIERS["quick"], TIERS["default"]]


def caught(quantity: str = "loss", **element: float) -> Catch:
    named = tuple((name, value.hex()) for name, value in element.items())
    return Catch(quantity, 5.0, named, "0x0.0p+0", "0x1.0p+0")


@pytest.mark.parametrize(
    ("element", "pool"),
    [
        ({"logits": 3.5, "targets": 1.0}, "test_values.moderate"),
        ({"logits": -25.0, "targets": 0.0}, "test_values.negative_tail"),
        ({"logits": 25.0, "targets": 1.0}, "test_values.positive_tail"),
        ({"logits": -50.0, "targets": 1.0}, "test_values.certain_and_wrong"),
        ({"logits": 50.0, "targets": 0.0}, "test_values.certain_and_wrong"),
        ({"logits": 2.0**-40, "targets": 0.25}, "test_values.tiny_logits"),
        ({"logits": -3.0, "targets": 0.25}, "test_values.soft_targets"),
        ({"logits": 1e30, "targets": 0.25}, "test_values.huge_logits"),
        ({"logits": 2.0**-18, "targets": 0.25}, None),
        (
            {"logits": 3.0, "targets": 0.25, "weight": 2.0, "pos_weight": 0.5},
            "test_values.weighted",
        ),
        (
            {"logits": 3.0, "targets": 0.25, "weight": 2.0**40, "pos_weight": 0.5},
            "test_values.any_weights",
        ),
        ({"logits": 3.0, "targets": 0.25, "weight": -2.0, "pos_weight": 0.5}, None),
    ],
)
def test_losses_go_to_the_narrowest_pool(element: dict[str, float], pool: str | None) -> None:
    witness = witness_of(caught(**element), FLOAT32)
    assert (witness and witness.pool) == pool


def test_gradients_go_to_pools_whose_gradient_is_judged() -> None:
    everywhere = witness_of(caught("grad_logits", logits=1e-30, targets=1.0), FLOAT32)
    assert everywhere is not None
    assert everywhere.pool == "test_gradients.extreme"
    assert witness_of(caught("grad_logits", logits=1e30, targets=0.25), FLOAT32) is None


def test_corpora_grow_and_are_read_as_what_a_run_tries(tmp_path: Path) -> None:
    path = tmp_path / "torch.toml"
    odd = caught(logits=2.0**-18, targets=0.25)
    assert add(path, "torch", [caught(logits=3.5, targets=1.0), odd], FLOAT32) == [odd]
    add(
        path, "torch", [caught(logits=3.5, targets=1.0), caught(logits=-3.0, targets=0.25)], FLOAT32
    )
    ledger = read([path])
    assert {witness.pool for witness in ledger.found} == {moderate.name, soft_targets.name}
    assert len(ledger.found) == 2
    assert len(ledger) == len(read())  # it displaces nothing
    assert ledger.witnesses == read().witnesses
    for tier in TIERS_OF_RUNS:
        store = PoolStore(0, tier, ledger.witnesses, found=ledger.found)
        inputs = store.get(moderate, FLOAT32)
        place = (inputs.logits == 3.5) & (inputs.targets == 1.0)
        assert place.any()
        assert inputs.source is not None
        assert not inputs.source.lasting[place].any()  # type: ignore[index]
        assert inputs.logits.size == PoolStore(0, tier).get(moderate, FLOAT32).logits.size


def test_what_the_ledger_knows_already_is_not_new(tmp_path: Path) -> None:
    known = next(w for w in read().witnesses if w.element and w.pool == soft_targets.name)
    found = Catch("loss", 5.0, known.element, "", "")
    ours = Witness(known.pool, known.dtype, element=known.element)
    path = tmp_path / "torch.toml"
    add(path, "torch", [found], format_of(known.dtype))
    assert ours in read().witnesses
    assert ours not in read([path]).found


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "torch.toml"
    path.write_text('versions = ["1"]\n', "utf-8")
    with pytest.raises(LedgerError, match="no corpus of torch: name another folder with --out"):
        add(path, "torch", [caught(logits=3.5, targets=1.0)], FLOAT32)
    assert path.read_text("utf-8") == 'versions = ["1"]\n'
