"""Devices: how adapters name them, and what shows of a result that lies on another one.

No GPU is needed: what the frameworks say of GPUs is made up, in the form that they say it in.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace as Fake
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.backends import BackendInfo, BackendProcess, LossCall, LossResult, resolve
from bce_conformance.backends.adapters.base import Adapter
from bce_conformance.backends.adapters.jax import JaxAdapter
from bce_conformance.backends.adapters.paddle import PaddleAdapter
from bce_conformance.backends.adapters.tensorflow import TensorflowAdapter
from bce_conformance.backends.adapters.torch import TorchAdapter
from bce_conformance.backends.calls import Device

NAMES = ("NVIDIA H200", "NVIDIA L4")
HERE = [
    *(Device("cpu", "cpu"), Device("cuda", "NVIDIA H200")),
    Device("cuda:1", "NVIDIA L4"),
]
GPUS = [Fake(platform="gpu", id=i, device_kind=name) for i, name in enumerate(NAMES)]
NAMED = Fake(device_count=lambda: 2, is_available=lambda: True, get_device_name=NAMES.__getitem__)
PATH = "/job:localhost/replica:0/task:0/device:"
# Of each framework the adapter, what it is told of GPUs, and tensors on the CPU and the second GPU.
FRAMEWORKS: dict[str, tuple[type[Adapter], Any, Any, Any]] = {
    "torch": (
        TorchAdapter,
        Fake(cuda=NAMED),
        Fake(device=Fake(type="cpu", index=None)),
        Fake(device=Fake(type="cuda", index=1)),
    ),
    "jax": (
        JaxAdapter,
        Fake(devices=lambda: GPUS, default_backend=lambda: "gpu"),
        Fake(devices=lambda: [Fake(platform="cpu", id=0)]),
        Fake(devices=lambda: GPUS[1:]),
    ),
    "tensorflow": (
        TensorflowAdapter,
        Fake(
            config=Fake(
                list_physical_devices=lambda kind: list(NAMES) if kind == "GPU" else [],
                experimental=Fake(get_device_details=lambda name: {"device_name": name}),
            )
        ),
        Fake(device=f"{PATH}CPU:0"),
        Fake(device=f"{PATH}GPU:1"),
    ),
    "paddle": (
        PaddleAdapter,
        Fake(device=Fake(cuda=NAMED, is_compiled_with_cuda=lambda: True)),
        Fake(place=Fake(is_gpu_place=lambda: False)),
        Fake(place=Fake(is_gpu_place=lambda: True, gpu_device_id=lambda: 1)),
    ),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_gpus_are_numbered_and_have_their_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind, framework, _, _ = FRAMEWORKS[name]
    monkeypatch.setattr(kind, "module", lambda self: framework)
    assert list(kind().devices()) == HERE


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_result_on_another_device_shows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind, framework, here, there = FRAMEWORKS[name]
    monkeypatch.setattr(kind, "module", lambda self: framework)
    monkeypatch.setattr(kind, "to_numpy", lambda self, tensor: np.zeros(1))
    assert kind().fetch({"loss": there, "grad_logits": there}).device == "cuda:1"
    assert kind().fetch({"loss": here, "grad_logits": there}).device == "cpu+cuda:1"


@pytest.fixture(scope="module")
def simulated() -> Iterator[BackendProcess]:
    """Native with a CUDA device that is Numba's simulator."""
    environment = {"NUMBA_ENABLE_CUDASIM": "1"}
    with BackendProcess(resolve("native"), environment=environment) as process:
        yield process


def on_both(process: BackendProcess, call: LossCall) -> Iterator[dict[str, Any]]:
    """What native returns of a call, from the CPU and from the device."""
    for device in ("cpu", "cuda"):
        found = process.evaluate(replace(call, device=device), time_limit=120)
        assert isinstance(found, LossResult), found
        assert found.device == device
        yield dict(found.values)


@pytest.mark.slow
def test_native_has_a_cuda_device(simulated: BackendProcess) -> None:
    info = simulated.info()
    assert isinstance(info, BackendInfo), info
    assert info.devices == (Device("cpu", "cpu"), Device("cuda", "Numba's simulator"))
    absent = simulated.evaluate(LossCall(np.zeros(1), np.zeros(1), device="cuda:1"))
    assert str(absent) == "unsupported: no device cuda:1"


QUANTITIES = ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight", "jvp_logits")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_native_has_the_same_bits_on_the_device(simulated: BackendProcess, dtype: str) -> None:
    random = np.random.default_rng(17)
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x, y, tangent = (random.normal(size=(5, 3)).astype(kind) for _ in range(3))
    w, p = random.uniform(size=(5, 1)).astype(kind), random.uniform(size=3).astype(kind)
    call = LossCall(x, np.abs(y), w, p, "none", QUANTITIES, tangent=tangent)
    here, there = on_both(simulated, call)
    assert here.keys() == there.keys() == set(QUANTITIES)
    for quantity in QUANTITIES:
        assert here[quantity].dtype == there[quantity].dtype == kind
        assert here[quantity].tobytes() == there[quantity].tobytes(), quantity


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda a: np.asfortranarray(a),
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_native_places_any_layout_on_the_device(simulated: BackendProcess, layout: str) -> None:
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    call = LossCall(LAYOUTS[layout](x), LAYOUTS[layout](np.abs(x) / 4), reduction="mean")
    here, there = on_both(simulated, call)
    assert here["loss"].tobytes() == there["loss"].tobytes()
