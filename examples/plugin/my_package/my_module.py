"""An adapter: what bce-conformance needs to know of an implementation. Replace `_evaluate`."""

import numpy as np

from bce_conformance.backends import BackendInfo, LossCall, LossResult, UnsupportedCall


class MyBackend:
    """The loss of my_package: forward and gradient in the logits."""

    def info(self) -> BackendInfo:
        """Describe the implementation; import what it needs here, not above."""
        formats = ("float32", "float64")
        return BackendInfo(id="my_package", framework="my_package", version="1.0", dtypes=formats)

    def bind(self, call: LossCall):
        """Prepare a call; what is returned is timed, and must have finished when it returns."""
        if not {"loss", "grad_logits"}.issuperset(call.quantities) or call.cotangent is not None:
            raise UnsupportedCall("my_package has the loss and its gradient in the logits")
        return lambda: _evaluate(call)

    def fetch(self, raw: dict) -> LossResult:
        """Bring what the bound call returned to NumPy."""
        return LossResult({quantity: np.asarray(value) for quantity, value in raw.items()})


def _evaluate(call: LossCall) -> dict:
    x, y = call.logits, call.targets
    w = np.ones((), x.dtype) if call.weight is None else call.weight
    p = np.ones((), x.dtype) if call.pos_weight is None else call.pos_weight
    tail = np.log1p(np.exp(-np.abs(x)))
    loss = w * ((1 - y) * (np.maximum(x, 0) + tail) + p * y * (np.maximum(-x, 0) + tail))
    gradient = w * ((1 - y) / (1 + np.exp(-x)) - p * y / (1 + np.exp(x)))
    if call.reduction != "none":
        loss = loss.mean() if call.reduction == "mean" else loss.sum()
        gradient = gradient / (x.size if call.reduction == "mean" else 1)
    return {q: {"loss": loss, "grad_logits": gradient}[q] for q in call.quantities}
