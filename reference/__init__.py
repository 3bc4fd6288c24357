"""Ground truth for binary cross-entropy with logits: certified values, and distances from them."""

from .formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FORMATS, Format, format_of
from .metrics import Summary, summary, ulp_error
from .truth import Truth, ground_truth

__all__ = [
    "BFLOAT16",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "FORMATS",
    "Format",
    "Summary",
    "Truth",
    "format_of",
    "ground_truth",
    "summary",
    "ulp_error",
]
