"""Adapters bent for the tests: `probes:Name` runs in the worker of that adapter's framework."""

import inspect
from dataclasses import replace

import numpy as np

from bce_conformance.backends import LossResult
from bce_conformance.backends.adapters.native import NativeAdapter
from bce_conformance.backends.adapters.optax import OptaxAdapter
from bce_conformance.backends.adapters.paddle import PaddleAdapter
from bce_conformance.backends.adapters.tensorflow import TensorflowAdapter
from bce_conformance.backends.adapters.torch import TorchAdapter


class Probe:
    """Beside the adapter that it is mixed into, asks about the framework and its arrays alone."""

    def bind(self, call):
        """Move the logits into the framework, and do nothing else."""
        return lambda: {"loss": self.place(call.logits, call.device)}

    def info(self):
        """Report as composed what the framework's own functions have no parameter for."""
        taken = {
            parameter
            for function in self.functions()
            for parameter in inspect.signature(function).parameters
        }
        optional = ("weight", "pos_weight", "reduction")
        composed = tuple(name for name in optional if name not in taken)
        return replace(super().info(), composed=composed)

    def functions(self):
        return [self.function()]


class Native(Probe, NativeAdapter):
    def functions(self):
        return [self.module().binary_cross_entropy_with_logits]


class Torch(Probe, TorchAdapter):
    pass


class Paddle(Probe, PaddleAdapter):
    pass


class Tensorflow(Probe, TensorflowAdapter):
    def functions(self):
        nn = self.module().nn
        return [nn.sigmoid_cross_entropy_with_logits, nn.weighted_cross_entropy_with_logits]


class Optax(Probe, OptaxAdapter):
    def functions(self):
        import optax

        return [optax.sigmoid_binary_cross_entropy]


class Strides:
    """Returns the strides of the logits in the framework, in elements."""

    def bind(self, call):
        return lambda: self.place(call.logits, call.device)

    def fetch(self, raw):
        return LossResult({"loss": np.array(self.strides(raw))})


class StridesTorch(Strides, TorchAdapter):
    def strides(self, tensor):
        return tensor.stride()


class StridesPaddle(Strides, PaddleAdapter):
    def strides(self, tensor):
        return tensor.strides


class Forgetful:
    """Lets the framework's copy of the logits be another one after the call."""

    def bind(self, call):
        thunk = super().bind(call)

        def forget():
            raw = thunk()
            self._placed["logits"] = self.place(np.zeros(3), "cpu")
            return raw

        return forget


class ForgetfulTorch(Forgetful, TorchAdapter):
    pass


class ForgetfulTensorflow(Forgetful, TensorflowAdapter):
    pass
