"""The known defects: each with exact digits of its own, and named by the ledger where it is met."""

import re
import shlex
from pathlib import Path

import pytest

from bce_conformance.backends import builtin_backends
from bce_conformance.backends.calls import LossCall
from bce_conformance.commands.explain import call_of, numbers, read_call
from bce_conformance.conformance.findings.harm import harm, number, rule
from bce_conformance.conformance.findings.reading import DefectError, defects, read
from bce_conformance.conformance.judging.calls import expectations
from bce_conformance.conformance.ledger.reading import own
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.surveying.explain import exact_digits
from bce_conformance.results.model import Defect

OPERANDS = ("logits", "targets", "weight", "pos_weight", "cotangent", "tangent")
SHORT = {"logit": "logits", "target": "targets"}
FRAMEWORKS = ("torch", "paddle", "tensorflow", "jax", "optax")
KNOWN = list(defects().values())


def call_in(command: str) -> LossCall:
    """The call of a command line ``bce-conformance explain BACKEND …``."""
    words = shlex.split(command)[3:]
    if words[0] == "--call":
        return read_call(words[1], ())
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    options = {SHORT.get(name, name).replace("-", "_"): text for name, text in options.items()}
    given = {name: numbers(text) for name, text in options.items() if name in OPERANDS}
    dtypes: dict[str, str | None] = {
        name.removesuffix("_dtype"): text
        for name, text in options.items()
        if name.endswith("_dtype")
    }
    return call_of(
        given,
        options.get("dtype", "float32"),
        dtypes,
        options.get("reduction", "none"),
        (options["quantity"],),
    )


def test_each_framework_has_defects() -> None:
    assert {defect.framework for defect in KNOWN} == set(FRAMEWORKS)
    assert len(KNOWN) >= 30
    assert len({defect.title + defect.framework for defect in KNOWN}) == len(KNOWN)


@pytest.mark.parametrize("defect", KNOWN, ids=lambda one: one.id)
def test_a_defect_refers_to_what_there_is(defect: Defect) -> None:
    assert defect.requirement in requirements()
    assert set(defect.backends) <= {spec.id for spec in builtin_backends()}
    assert re.fullmatch(r"(https://github\.com/\S+/(issues|pull)/\d+)?", defect.link)
    assert defect.title.endswith(".")
    assert not defect.computed.endswith(".")


@pytest.mark.parametrize(
    "defect", [one for one in KNOWN if one.explain and "1000000" not in one.explain], ids=str
)
def test_the_exact_value_is_that_of_the_reference(defect: Defect) -> None:
    expected = expectations(call_in(defect.explain))
    (quantity,) = expected.results
    assert exact_digits(expected.results[quantity], 0) == defect.expected


def test_means_of_equal_elements_are_their_value() -> None:
    """Those of a million elements, of which the exact sum takes long."""
    large = [one for one in KNOWN if "1000000" in one.explain]
    assert len(large) == 2
    for one in large:
        single = call_in("bce-conformance explain native --logit=1 --target=1 --quantity=loss")
        assert exact_digits(expectations(single).results["loss"], 0) == one.expected


def test_the_ledger_names_the_defects_of_its_cells() -> None:
    """A mechanism that is one defect has no cell of a backend or format that the defect lacks."""
    named = set()
    for file in own():
        for deviation in file.deviations:
            ids = deviation.mechanism.defects
            named.update(ids)
            if len(ids) == 1:
                defect = defects()[ids[0]]
                assert deviation.place.backend in defect.backends, deviation
                assert deviation.place.dtype in defect.dtypes, deviation
    assert set(defects()) - named == {"paddle-hidden-ignore-index"}  # no requirement tries it


def test_harm_follows_from_what_came_back() -> None:
    weights = {factor: {g: w for g, (w, _) in grades.items()} for factor, grades in rule().items()}
    found = harm("training", "grad_logits", "0.5", "-0.5")
    assert (found.wrong, found.noticed, found.reaches) == ("useless", "silent", "training")
    assert found.score == (
        weights["wrong"]["useless"]
        * weights["inputs"]["training"]
        * weights["noticed"]["silent"]
        * weights["reaches"]["training"]
    )
    for expected, returned, wrong, noticed in (
        ("1.0", "1.0005", "digits", "silent"),
        ("1.0", "0.998", "imprecise", "silent"),
        ("1.0", "0.8", "useless", "silent"),
        ("0.0", "nan", "useless", "visible"),
        ("inf", "1.0", "useless", "silent"),
        ("an error", "a loss", "accepted", "silent"),
        ("a gradient", "None", "other", "silent"),
        ("a gradient", "an error", "refused", "loud"),
    ):
        found = harm("extremes", "loss", expected, returned)
        assert (found.wrong, found.noticed) == (wrong, noticed), (expected, returned)
    ranks = [one.harm.score for one in KNOWN]
    assert ranks == sorted(ranks, reverse=True)
    assert number("a word") is None


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (("inputs = ", "input = "), "unknown fields"),
        (('inputs = "training"', 'inputs = "often"'), "inputs is 'often'; accepted are training"),
        (('returned = "0.0"', 'returned = "2.06115362031438070323898279888e-9"'), "no defect"),
        (("[torch-loss-cancels]", "[loss-cancels]"), "does not begin with torch-"),
        (('"float16", ', '"float15", '), "dtype 'float15'; accepted are float16"),
        (('backends = ["torch", ', 'backends = "torch" # '), "a list of strings"),
        (("framework", "frame"), "no field"),
    ],
)
def test_damage_is_named(damage: tuple[str, str], told: str, tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "conformance" / "findings" / "torch.toml"
    text = source.read_text("utf-8").split("[torch-gradient-saturates]")[0]
    path = tmp_path / "torch.toml"
    path.write_text(text, "utf-8")
    assert [one.id for one in read(path)] == ["torch-loss-cancels"]
    path.write_text(text.replace(*damage), "utf-8")
    with pytest.raises(DefectError, match=re.escape(told)):
        read(path)
