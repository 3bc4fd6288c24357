"""Every example of the documentation that this loss reproduces runs, as a doctest."""

import doctest

import numpy as np
import pytest

from bce_conformance.native import BCEWithLogitsLoss

PYTORCH = """
>>> target = np.ones([10, 64], dtype=np.float32)  # 64 classes, batch size = 10
>>> output = np.full([10, 64], 1.5, dtype=np.float32)  # a prediction (logit)
>>> pos_weight = np.ones([64], dtype=np.float32)  # all weights are equal to 1
>>> criterion = BCEWithLogitsLoss(pos_weight=pos_weight)
>>> print(round(float(criterion(output, target)), 4))  # -log(sigmoid(1.5))
0.2014

>>> loss = BCEWithLogitsLoss()
>>> random = np.random.default_rng(0)
>>> input = random.normal(size=3)
>>> target = random.integers(2, size=3).astype(float)
>>> output, gradients = loss.value_and_grad(input, target)
>>> output.shape, gradients["logits"].shape
((), (3,))
"""

# 100 positive and 300 negative examples of a class: as if there were 300 positive ones.
IMBALANCE = """
>>> loss = BCEWithLogitsLoss(reduction="sum", pos_weight=np.array([3.0]))
>>> logits = np.linspace(-3, 3, 400).reshape(400, 1)
>>> target = (np.arange(400) < 100).astype(float).reshape(400, 1)
>>> repeated = np.concatenate([logits[:100]] * 3 + [logits[100:]])
>>> labels = np.concatenate([np.ones((300, 1)), np.zeros((300, 1))])
>>> as_if = BCEWithLogitsLoss(reduction="sum")(repeated, labels)
>>> bool(abs(loss(logits, target) / as_if - 1) < 1e-15)
True
"""

PADDLE = """
>>> logit = np.array([5.0, 1.0, 3.0], dtype=np.float32)
>>> label = np.array([1.0, 0.0, 1.0], dtype=np.float32)
>>> criterion = BCEWithLogitsLoss(weight=None, reduction="mean", pos_weight=None, name="loss")
>>> criterion
BCEWithLogitsLoss(reduction='mean', name='loss')
>>> print(round(float(criterion(logit, label)), 4))
0.4562
>>> BCEWithLogitsLoss(reduction="none")(logit, label).shape
(3,)
"""


@pytest.mark.parametrize("text", [PYTORCH, IMBALANCE, PADDLE])
def test_documented_examples(text):
    names = {"np": np, "BCEWithLogitsLoss": BCEWithLogitsLoss}
    test = doctest.DocTestParser().get_doctest(text, names, "documentation", None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_shapes_are_as_documented():
    x = np.zeros((4, 3), np.float32)
    assert BCEWithLogitsLoss()(x, x).shape == ()
    assert BCEWithLogitsLoss(reduction="sum")(x, x).shape == ()
    assert BCEWithLogitsLoss(reduction="none")(x, x).shape == (4, 3)


def test_positional_order_is_that_of_pytorch():
    weight, pos_weight = np.full(3, 2.0), np.full(3, 3.0)
    with pytest.warns(DeprecationWarning, match="mean"):
        criterion = BCEWithLogitsLoss(weight, True, True, "none", pos_weight)
    assert criterion.weight is weight
    assert criterion.pos_weight is pos_weight
    assert criterion.reduction == "mean"
