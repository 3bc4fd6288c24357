"""Calls on CUDA devices: device arrays in, device arrays out, nothing leaves the device.

**Untested on GPU.** The tests run them in Numba's simulator, which checks indexing, reductions and
the element's arithmetic, and have NVVM compile the kernels for a device that is absent.
"""

from .evaluation import Evaluation

__all__ = ["Evaluation"]
