"""Accuracy, beside speed: a commit that trades one for the other moves both lines.

Errors are against the ground truth, over 12,000 points of every magnitude of logit and every kind
of target and weight. Both figures are worse where they are larger, as asv has it.
"""

from __future__ import annotations

from typing import Any

from .common import BACKENDS, available, keep_compiled_code_by_source, require

QUANTITIES = ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
DTYPES = ("float16", "bfloat16", "float32", "float64")
Key = tuple[str, str, str]

LOST = 2.0**64
"""What stands for an infinite error, which JSON has no number for."""


class Accuracy:
    """One set-up evaluates all that is installed, each backend in a process of its own."""

    params = (BACKENDS, DTYPES, QUANTITIES)
    param_names = ("backend", "dtype", "quantity")
    timeout = 600

    def setup_cache(self) -> dict[Key, tuple[float, float]]:
        """Largest error in ULP and share not correctly rounded, of each that can be had."""
        from bce_conformance.backends import BackendInfo, BackendProcess, resolve

        keep_compiled_code_by_source()
        found: dict[Key, tuple[float, float]] = {}
        for backend in filter(available, BACKENDS):
            with BackendProcess(resolve(backend), start_limit=600) as process:
                info = process.info()
                if isinstance(info, BackendInfo):
                    for dtype in info.dtypes:
                        found |= _errors(process, backend, dtype)
        return found

    setup_cache.timeout = 1800  # type: ignore[attr-defined]

    def setup(self, found: dict[Key, tuple[float, float]], *key: Any) -> None:
        """Skip what could not be had."""
        require(key[0])
        if key not in found:
            raise NotImplementedError(f"{' '.join(key)} was refused")

    def track_max_ulp(self, found: dict[Key, tuple[float, float]], *key: Any) -> float:
        """Largest error."""
        return found[key][0]

    track_max_ulp.unit = "ulp"  # type: ignore[attr-defined]

    def track_misrounded(self, found: dict[Key, tuple[float, float]], *key: Any) -> float:
        """Per cent of the results that are not the correctly rounded ones."""
        return 100 * found[key][1]

    track_misrounded.unit = "% misrounded"  # type: ignore[attr-defined]


def _errors(process: Any, backend: str, dtype: str) -> dict[Key, tuple[float, float]]:
    """The figures of one backend in one format."""
    import numpy as np

    from bce_conformance.backends import LossResult
    from bce_conformance.conformance.inputs.sampler import Sampler
    from bce_conformance.reference import format_of, ulp_error

    format_ = format_of(dtype)
    sampler = Sampler(format_, "asv accuracy", 0, 12_000)
    inputs = sampler.inputs(
        "all kinds",
        sampler.signed(sampler.every_magnitude()),
        sampler.any_target(),
        weight=sampler.positive(),
        pos_weight=sampler.positive(),
    )
    result = process.evaluate(inputs.call(*QUANTITIES), time_limit=120)
    if not isinstance(result, LossResult):
        return {}
    figures = {}
    for quantity in QUANTITIES:
        truth = inputs.truth(quantity)
        got = result.values.get(quantity)
        if got is not None and got.shape == truth.nearest.shape:
            ulp = ulp_error(got, truth)
            misrounded = np.mean(~_same(got, truth.nearest))
            largest = float(np.minimum(ulp.max(), LOST))
            figures[backend, dtype, quantity] = (largest, float(misrounded))
    return figures


def _same(got: Any, nearest: Any) -> Any:
    import numpy as np

    return (got == nearest) | (np.isnan(got) & np.isnan(nearest))
