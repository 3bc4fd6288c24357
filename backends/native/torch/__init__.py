"""The loss for PyTorch: tensors in, tensors out, differentiable.

    from bce_conformance.native.torch import BCEWithLogitsLoss

Importing this package imports torch.
"""

from .loss import BCEWithLogitsLoss, binary_cross_entropy_with_logits

__all__ = ["BCEWithLogitsLoss", "binary_cross_entropy_with_logits"]
