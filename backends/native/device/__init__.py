"""Calls on CUDA devices: device arrays in, device arrays out, nothing leaves the device."""

from .evaluation import Evaluation

__all__ = ["Evaluation"]
