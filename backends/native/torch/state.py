"""What is under way in PyTorch: transforms, modes, forward mode.

The only module that asks PyTorch for it by names which its documentation does not have.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

# Types whose values are in memory. Others, such as those of a compiler that traces, have operators.
_IN_MEMORY = (Tensor, nn.Parameter)

_are_transforms_active = torch._C._are_functorch_transforms_active
_is_grad_enabled = torch.is_grad_enabled
_modes = torch._C._len_torch_dispatch_stack

is_batched = torch._C._functorch.is_legacy_batchedtensor
"""Whether a tensor is one of ``is_grads_batched=True``, for which operators alone are called."""


def are_plain(logits: Any, targets: Any, weight: Any, pos_weight: Any) -> bool:
    """Whether all are tensors in memory or None, and no mode watches what is done to them."""
    return (
        type(logits) in _IN_MEMORY
        and (logits.is_cpu or logits.is_cuda)
        and type(targets) in _IN_MEMORY
        and (weight is None or type(weight) in _IN_MEMORY)
        and (pos_weight is None or type(pos_weight) in _IN_MEMORY)
        and _modes() == 0
    )


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward mode is under way."""
    return _are_transforms_active() or forward_ad._current_level >= 0


def is_recorded() -> bool:
    """Whether what is evaluated now may be differentiated."""
    return _is_grad_enabled() or _are_transforms_active() or forward_ad._current_level >= 0
