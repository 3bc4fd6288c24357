"""Mutations of the judge change verdicts: none of its rules and bounds can go without being missed.

Each mutant is the source of the judge and of its bounds with one piece replaced. It must change the
verdict of some implementation on a short list, impostors and one that is right though it rounds the
other way.
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.inputs import bounds, inputs
from bce_conformance.conformance.judging import judge
from bce_conformance.conformance.running import subject
from bce_conformance.conformance.specification import requirements
from tests.impostors.impostor import Impostor, Values, right
from tests.impostors.recording import Cells
from tests.impostors.table import IMPOSTORS

pytestmark = pytest.mark.slow

# What the judge does → the piece of its source, and what a mutant has instead.
MUTANTS = {
    "results of the same size are as the nearest": (
        "computed.view(np.int64) != exact.view(np.int64)",
        "np.round(computed, 3) != np.round(exact, 3)",
    ),
    "all is faithful": ("levels[faithful] = Level.AAA", "levels[:] = Level.AAA"),
    "nothing is faithful": ("levels[faithful] = Level.AAA", "pass"),
    "nothing fails": ("levels[safe] = Level.A", "levels[:] = Level.A"),
    "AAA twice as wide": ("(error < 1)", "(error < 2)"),
    "AAA 1024 times as wide": ("(error < 1)", "(error < 1024)"),
    "AAA half as wide": ("(error < 1)", "(error <= 0.5)"),
    "AA twice as wide": ("4.0 * bounds.growth", "8.0 * bounds.growth"),
    "AA 1024 times as wide": ("4.0 * bounds.growth", "4096.0 * bounds.growth"),
    "A twice as wide": ("16.0 * format_", "32.0 * format_"),
    "A 1024 times as wide": ("16.0 * format_", "16384.0 * format_"),
    "A half as wide": ("16.0 * format_", "8.0 * format_"),
    "sums get no room": ("1.0 + float(np.log2(self.terms))", "1.0"),
    "sums get room for all terms": ("1.0 + float(np.log2(self.terms))", "float(self.terms)"),
    "offset ignored in the error": (
        "ulp_error(got, truth)",
        "ulp_error(got, replace(truth, offset=truth.offset * 0))",
    ),
    "offset ignored in the sign": (
        "wrong_sign(got, part)",
        "wrong_sign(got, replace(part, offset=part.offset * 0))",
    ),
    "sign ignored": ("(error < 1) & ~wrong_sign(got, part)", "error < 1"),
    "NaN is no error": (
        "    faithful = ",
        "    error[np.isnan(computed)], computed = 0, np.nan_to_num(computed)\n    faithful = ",
    ),
    "a flush is no accurate result": ("faithful | flushed_to_zero(got, part)", "faithful"),
    "any zero is a flush": ("flushed_to_zero(got, part)", "(computed == 0)"),
    "no room for cancellation": ("bounds.larger_term is not None", "False"),
    "weight not in the scale": ("factors.append(weight)", "pass"),
    "pos_weight not in the scale": ("factors.append(np.maximum(1, pos_weight))", "pass"),
    "logits not in the scale": ("factors.append(np.maximum(1, np.abs(logits)))", "pass"),
    "logits in every scale": (
        'quantity not in ("grad_logits", "jvp_logits", "hvp_logits")',
        "True",
    ),
    "weight in every scale": ('quantity != "grad_weight"', "True"),
    "pos_weight in every scale": ('quantity != "grad_pos_weight"', "True"),
    "tangent not in the scale": ("factors.append(np.abs(as_float64(call.tangent)))", "pass"),
    "cotangent not in the scale": ("factors.append(np.abs(as_float64(call.cotangent)))", "pass"),
    "N not in the scale": ("element - np.log2(logits.size)", "element"),
}


def rounded_toward_zero(call: LossCall) -> Values:
    """The right values rounded toward zero: never a unit in the last place off."""
    values, dtype = right(call), call.logits.dtype
    wide = right(
        LossCall(
            call.logits.astype(np.float64),
            call.targets.astype(np.float64),
            reduction=call.reduction,
            quantities=call.quantities,
        )
    )
    for quantity, value in wide.items():
        nearest = value.astype(dtype)
        away = np.abs(nearest.astype(np.float64)) > np.abs(value)
        values[quantity] = np.where(away, np.nextafter(nearest, dtype.type(0)), nearest)
    return values


HONEST = Impostor("rounded_toward_zero", "", "", ("float32",), lambda: rounded_toward_zero)

# Verdicts on these show every mutant.
PROBES = (
    ("rounded_toward_zero", "VAL-1"),
    ("all_zeros", "VAL-1"),
    ("two_roundings", "GRAD-1"),
    ("six_ulps_off", "VAL-1"),
    ("exponentials_quotient", "GRAD-6"),
    ("flushes_results", "GRAD-2"),
    ("log_for_log1p", "VAL-3"),
    ("largest_taken_for_infinite", "VAL-6"),
    ("unsigned_underflow", "GRAD-3"),
    ("largest_rounded_up", "VAL-6"),
    ("careless_parallel_sum", "RED-4"),
    ("worse_parallel_sum", "RED-4"),
    ("rounded_terms", "GRAD-4"),
    *(
        (impostor, f"GRAD-{number}")
        for impostor in ("rough_polynomial", "coarse_table")
        for number in (1, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    ),
    ("rough_polynomial", "VAL-10"),
    ("coarse_table", "VAL-10"),
)


def verdicts() -> Iterator[str]:
    """The verdict of each probe, by inputs that nothing else has seen."""
    cells = Cells()
    known = {**IMPOSTORS, HONEST.name: HONEST}
    for name, requirement in PROBES:
        yield cells.run(known[name].adapter(), requirements()[requirement], "float32").verdict


@pytest.fixture(scope="module")
def unmutated() -> list[str]:
    return list(verdicts())


def test_the_honest_one_is_right(unmutated: list[str]) -> None:
    assert unmutated[0] == "AAA"
    assert unmutated[1] == "fails"


def mutated(module: ModuleType, old: str, new: str) -> ModuleType:
    """A module with one piece of its source replaced."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text("utf-8").replace(old, new)
    mutant = ModuleType(module.__name__)
    mutant.__dict__.update(__package__=module.__package__, __file__=module.__file__)
    exec(compile(source, module.__file__, "exec"), mutant.__dict__)
    return mutant


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_noticed(
    name: str, unmutated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = MUTANTS[name]
    sources = [Path(str(module.__file__)).read_text("utf-8") for module in (judge, bounds)]
    assert any(old in source for source in sources), "the judge has changed: so must this mutant"
    monkeypatch.setattr(subject, "judge", mutated(judge, old, new).judge)
    mutant = mutated(bounds, old, new)
    monkeypatch.setattr(inputs, "bounds_for", mutant.bounds_for)
    monkeypatch.setattr(inputs, "Bounds", mutant.Bounds)
    assert any(now != before for now, before in zip(verdicts(), unmutated, strict=True))
