"""Ground truth for binary cross-entropy with logits: certified values, and distances from them."""

from .formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FORMATS, Format, format_of
from .metrics import flushed_to_zero, ulp_error, wrong_sign
from .truth import Truth, compile_kernels, ground_truth, has_fast_path

__all__ = [
    "BFLOAT16",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "FORMATS",
    "Format",
    "Truth",
    "compile_kernels",
    "flushed_to_zero",
    "format_of",
    "ground_truth",
    "has_fast_path",
    "ulp_error",
    "wrong_sign",
]
