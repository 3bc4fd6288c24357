"""Impostors that take types and misuse wrongly."""

import warnings

import numpy as np

from bce_conformance.backends.adapters.base import in_form
from bce_conformance.backends.calls import OPERANDS, REDUCTIONS, Array, LossCall, LossResult
from tests.impostors.impostor import Crash, Values, mistaken, right, stateful


def _given(call: LossCall) -> dict[str, Array]:
    """The operands that are not None."""
    return {name: a for name in OPERANDS if (a := getattr(call, name)) is not None}


@mistaken()
def widest_format_wins(call: LossCall) -> Values:
    """Gives the loss in the widest format of all operands instead of the logits'."""
    values = right(call)
    if "loss" in values and call.logits.dtype.kind == "f":
        wide = [a.dtype for a in _given(call).values() if a.dtype.kind == "f"]
        values["loss"] = values["loss"].astype(np.result_type(*wide))
    return values


@mistaken()
def targets_rounded_to_the_logits(call: LossCall) -> Values:
    """Rounds the targets into the format of the logits."""
    if call.targets.dtype.kind != "f" or call.logits.dtype.kind != "f":
        return right(call)
    return right(call, targets=call.targets.astype(call.logits.dtype))


def _rounded_to_the_logits(call: LossCall, operand: str) -> Values:
    given = getattr(call, operand)
    if given is None or given.dtype.kind != "f" or operand in call.forms:
        return right(call)
    with np.errstate(over="ignore"):
        return right(call, **{operand: given.astype(call.logits.dtype)})


@mistaken("float16", "float32")
def weight_rounded_to_the_logits(call: LossCall) -> Values:
    """Rounds the weight into the format of the logits."""
    return _rounded_to_the_logits(call, "weight")


@mistaken("float16", "float32")
def pos_weight_rounded_to_the_logits(call: LossCall) -> Values:
    """Rounds pos_weight into the format of the logits."""
    return _rounded_to_the_logits(call, "pos_weight")


def _is_mixed(call: LossCall) -> bool:
    return len({array.dtype for array in _given(call).values()}) > 1


@mistaken()
def no_gradient_of_mixed_formats(call: LossCall) -> Values:
    """Has no gradient in the logits where operands have several formats, and says nothing."""
    mixed = _is_mixed(call)
    return {q: v for q, v in right(call).items() if not (mixed and q == "grad_logits")}


@mistaken()
def accumulators_returned(call: LossCall) -> Values:
    """Returns its float64 accumulators where no operand has to be converted."""
    values = right(call)
    return values if _is_mixed(call) else {q: v.astype(np.float64) for q, v in values.items()}


@mistaken()
def unsigned_targets_negated(call: LossCall) -> Values:
    """Negates unsigned targets in their own type: −1 becomes 255."""
    if call.targets.dtype != np.uint8:
        return right(call)
    return right(call, targets=-(-call.targets).astype(np.float64))


@mistaken()
def boolean_targets_inverted_bit_by_bit(call: LossCall) -> Values:
    """Takes the complement of boolean targets, stored as integers, bit by bit for 1 − y."""
    if call.targets.dtype != np.bool_:
        return right(call)
    return right(call, targets=1 - (~call.targets.astype(np.int8)).astype(np.float64))


@mistaken()
def integer_weights_reinterpreted(call: LossCall) -> Values:
    """Reads the memory of an integer weight as floating-point numbers."""
    read = {
        name: array.view(np.float64)
        for name, array in _given(call).items()
        if name.endswith("weight") and array.dtype == np.int64 and name not in call.forms
    }
    return right(call, **read)


@mistaken()
def boolean_weight_as_a_logical_product(call: LossCall) -> Values:
    """Multiplies a boolean weight as a logical and, which makes the loss boolean."""
    values = right(call)
    if call.weight is not None and call.weight.dtype == np.bool_ and "loss" in values:
        values["loss"] = values["loss"] != 0
    return values


@mistaken()
def numbers_as_integers(call: LossCall) -> Values:
    """Takes a Python number as weight for an integer."""
    cut = {
        name: array.astype(np.int64)
        for name, array in _given(call).items()
        if call.forms.get(name) == "number"
    }
    return right(call, **cut)


@mistaken()
def integer_logits_accepted(call: LossCall) -> Values:
    """Gives losses of integer and boolean logits, rounded into the type of the logits."""
    if call.logits.dtype.kind not in "biu":
        return right(call)
    values = right(call, logits=call.logits.astype(np.float64))
    return {quantity: value.astype(call.logits.dtype) for quantity, value in values.items()}


@mistaken()
def imaginary_parts_dropped(call: LossCall) -> Values:
    """Drops the imaginary part of complex operands."""
    real = {name: a.real for name, a in _given(call).items() if a.dtype.kind == "c"}
    return right(call, **real)


@mistaken()
def objects_converted(call: LossCall) -> Values:
    """Converts arrays of Python objects to numbers."""
    forms = {name: form for name, form in call.forms.items() if form != "objects"}
    return right(call, forms=forms)


@mistaken()
def unknown_reduction_is_the_mean(call: LossCall) -> Values:
    """Takes every reduction that it does not know for the mean."""
    return right(call, reduction=call.reduction if call.reduction in REDUCTIONS else "mean")


@mistaken()
def text_parsed(call: LossCall) -> Values:
    """Parses text as numbers and takes missing operands for zeros."""
    forms = {name: form for name, form in call.forms.items() if form not in ("text", "none")}
    return right(call, forms=forms)


@mistaken()
def asks_for_attributes(call: LossCall) -> Values:
    """Asks each operand for its size before it looks at its type."""
    for name, form in call.forms.items():
        if form in ("text", "none"):
            in_form(getattr(call, name), form).size  # noqa: B018 - raises AttributeError
    return right(call)


@mistaken()
def argument_not_named(call: LossCall) -> Values:
    """Raises errors that say only that something was invalid."""
    try:
        return right(call)
    except (TypeError, ValueError) as error:
        raise type(error)("invalid argument") from None


@mistaken()
def targets_clipped(call: LossCall) -> Values:
    """Clips targets to [0, 1]."""
    if call.targets.dtype.kind != "f":
        return right(call)
    return right(call, targets=np.clip(call.targets, 0, 1))


@mistaken()
def targets_asserted(call: LossCall) -> Values:
    """Asserts that targets lie in [0, 1], without a word about which argument does not."""
    if call.targets.dtype.kind == "f" and ((call.targets < 0) | (call.targets > 1)).any():
        raise AssertionError
    return right(call)


@mistaken()
def infinite_targets_index_a_table(call: LossCall) -> Values:
    """Takes the targets for indices, and its process down where one is infinite."""
    if call.targets.dtype.kind == "f" and np.isinf(call.targets).any():
        raise Crash
    return right(call)


@mistaken()
def integers_not_looked_up(call: LossCall) -> Values:
    """Looks up its kernels by type, and finds none for integers."""
    if any(array.dtype.kind in "iu" for array in _given(call).values()):
        raise KeyError(0)
    return right(call)


@stateful()
class UnusableAfterAnError:
    """Keeps a lock where a call raises, and refuses all others."""

    def __init__(self) -> None:
        self._locked = False

    def __call__(self, call: LossCall) -> Values:
        if self._locked:
            raise RuntimeError("the context is locked")
        try:
            return right(call)
        except Exception:
            self._locked = True
            raise


@stateful()
class ScaleKeptAfterAnError:
    """Leaves the scale of its intermediate buffer changed where a call raises."""

    def __init__(self) -> None:
        self._scale = 1.0

    def __call__(self, call: LossCall) -> Values:
        try:
            values = right(call)
        except Exception:
            self._scale = 1.0 - 2.0**-8
            raise
        return {quantity: (v * self._scale).astype(v.dtype) for quantity, v in values.items()}


@stateful()
class ColumnsAfterAnError:
    """Returns columns, as of a batch with one class, once a call has raised."""

    def __init__(self) -> None:
        self._raised = False

    def __call__(self, call: LossCall) -> Values:
        try:
            values = right(call)
        except Exception:
            self._raised = True
            raise
        return {q: v[..., None] if self._raised else v for q, v in values.items()}


@mistaken()
def columns_for_integers(call: LossCall) -> Values:
    """Returns columns, as of a batch with one class, where an operand has no fractions."""
    discrete = any(array.dtype.kind in "biu" for array in _given(call).values())
    return {q: v[..., None] if discrete else v for q, v in right(call).items()}


@mistaken()
def no_loss_beside_a_gradient(call: LossCall) -> Values:
    """Has no loss where a gradient is asked for together with it, and says nothing."""
    beside = len(call.quantities) > 1
    return {q: v for q, v in right(call).items() if not (beside and q == "loss")}


@mistaken()
def no_loss_of_infinite_targets(call: LossCall) -> Values:
    """Has no loss where a target is infinite, and says nothing."""
    infinite = call.targets.dtype.kind == "f" and np.isinf(call.targets).any()
    return {} if infinite else right(call)


@mistaken()
def class_forgets_pos_weight(call: LossCall) -> Values:
    """Keeps the weight in the class, but not the pos_weight."""
    forgets = call.interface == "class" and "grad_pos_weight" not in call.quantities
    return right(call, pos_weight=None) if forgets else right(call)


@mistaken()
def class_sums_by_default(call: LossCall) -> Values:
    """Takes the sum for the default reduction of the class."""
    default = call.interface == "class" and call.reduction == "mean" and not call.arguments
    return right(call, reduction="sum") if default else right(call)


@mistaken()
def size_average_before_reduce(call: LossCall) -> Values:
    """Looks at size_average although reduce is False."""
    given = dict(call.arguments)
    if given.get("reduce") is False and given.get("size_average") is not None:
        given["reduce"] = True
    return right(call, arguments=given)


@mistaken()
def deprecated_arguments_as_defaults(call: LossCall) -> Values:
    """Lets the reduction override the deprecated arguments where it is not the default."""
    if call.arguments and call.reduction != "mean":
        return right(call, arguments={})
    return right(call)


@mistaken()
def name_taken_for_the_reduction(call: LossCall) -> Values:
    """Takes its arguments in the order of another interface: the name for the reduction."""
    name = call.arguments.get("name")
    return right(call) if name is None else right(call, reduction=name, arguments={})


@mistaken()
def class_keeps_dimensions(call: LossCall) -> Values:
    """Reduces in the class to an array of one element instead of a scalar."""
    values = right(call)
    if call.interface == "class" and call.reduction != "none" and "loss" in values:
        values["loss"] = values["loss"].reshape(1)
    return values


@mistaken()
def logarithm_to_base_two(call: LossCall) -> Values:
    """Takes the logarithm to base 2: the loss in bits."""
    values = right(call)
    if "loss" in values:
        values["loss"] = (values["loss"] / np.log(2)).astype(values["loss"].dtype)
    return values


@mistaken()
def absent_device_ignored(call: LossCall) -> Values:
    """Computes on the CPU where the device that is asked for is not there."""
    return right(call, device="cpu")


@mistaken()
def deprecated_without_a_warning(call: LossCall) -> Values:
    """Follows the deprecated arguments without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return right(call)


@mistaken()
def results_left_elsewhere(call: LossCall) -> LossResult:
    """Leaves what it computed on another device than the one that was asked for."""
    return LossResult(right(call), "cuda")


@mistaken()
def class_without_arguments_raises(call: LossCall) -> Values:
    """Looks up the deprecated arguments of its class where they are not given."""
    if call.interface == "class" and not call.arguments:
        raise KeyError("size_average")
    return right(call)


@mistaken()
def crashes_on_an_absent_device(call: LossCall) -> Values:
    """Takes its process down where the device that is asked for is not there."""
    if call.device != "cpu":
        raise Crash
    return right(call)


@mistaken()
def arguments_not_known(call: LossCall) -> Values:
    """Looks its further arguments up in a table that does not have them."""
    if call.arguments:
        raise KeyError(next(iter(call.arguments)))
    return right(call)
