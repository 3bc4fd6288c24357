"""Backends: what can be asked to evaluate the loss, each in a process of its own.

Importing this package imports no framework.
"""

from bce_conformance.backends.isolation.process import BackendProcess

from .calls import (
    DTYPES,
    GRADIENTS,
    OPERANDS,
    QUANTITIES,
    REDUCTIONS,
    Array,
    Backend,
    BackendInfo,
    Device,
    Failure,
    LossCall,
    LossResult,
    UnsupportedCall,
)
from .registry import (
    BackendSpec,
    builtin_backends,
    entry_point_backends,
    installation,
    installed,
    not_installed,
    resolve,
    sibling,
)

__all__ = [
    "DTYPES",
    "GRADIENTS",
    "OPERANDS",
    "QUANTITIES",
    "REDUCTIONS",
    "Array",
    "Backend",
    "BackendInfo",
    "BackendProcess",
    "BackendSpec",
    "Device",
    "Failure",
    "LossCall",
    "LossResult",
    "UnsupportedCall",
    "builtin_backends",
    "entry_point_backends",
    "installation",
    "installed",
    "not_installed",
    "resolve",
    "sibling",
]
