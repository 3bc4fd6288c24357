"""Which backends there are, and what a name given on the command line means.

Nothing here imports a framework: a backend is an import path until its own process loads it.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from . import environments, function_ids, locations
from .names import nearest

ENTRY_POINT_GROUP = "bce_conformance.backends"

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PROBE_LIMIT = 30.0


@dataclass(frozen=True)
class BackendSpec:
    """A backend that can be started.

    Attributes:
        id: ``framework[:variant]``, ``framework[:variant]::function`` or ``package.module:Class``,
            with ``@python=…``, ``@pip=…``, ``@ssh=…`` and ``@isa=…`` where given.
        factory: import path ``package.module:Class`` of its adapter.
        variant: such as ``"compile"``; empty for the default.
        distributions: names under which the framework is distributed, any one of which suffices;
            empty where it needs none.
        needs: distributions that it needs beside, all of them.
        program: that it needs, such as a compiler; empty for none.
        on_request: whether it is measured only where it is named, or with all that are, by the
            word ``every``: the field beside the frameworks that every run measures.
        python: path of the interpreter it runs in; empty for the running one, or for ``python3``
            on another machine.
        release: version of its framework, in an environment that is made of it; empty for the
            installed one.
        host: the other machine that it runs on, as OpenSSH knows it; empty for this one.
        compiles: whether it compiles anew for each shape that it meets, so that a call of a new
            shape takes it a tenth of a second, or seconds, instead of microseconds.
        traces: whether it does so for a derivative only, as TensorFlow does for forward mode, whose
            traces are searched one by one at every operation.
        instruction_set: the level that its code is held to, one of ``instruction_sets.LEVELS``;
            empty for all that the processor has.
        same_kernels: whether it computes with the kernels of the backend whose variant it is: how
            right it is hangs on them.
        function: of a user's own that is judged, ``package.module:name`` or ``path.py:name``; empty
            for the framework's own loss.
    """

    id: str
    factory: str
    variant: str = ""
    distributions: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    program: str = ""
    on_request: bool = False
    python: str = ""
    release: str = ""
    host: str = ""
    compiles: bool = False
    traces: bool = False
    instruction_set: str = ""
    same_kernels: bool = False
    function: str = ""

    @property
    def few_shapes(self) -> bool:
        """Whether new shapes cost it so much that calls are drawn with few."""
        return self.compiles or self.traces


_ADAPTERS = "bce_conformance.backends.adapters"
_PADDLE = ("paddlepaddle", "paddlepaddle-gpu")
_TENSORFLOW = ("tensorflow", "tensorflow-cpu")


def _compiling(
    id_: str, factory: str, distributions: tuple[str, ...], *, same_kernels: bool = False
) -> BackendSpec:
    """A compiled variant, or jax: even eager, each of its operations is compiled."""
    return BackendSpec(
        id_,
        f"{_ADAPTERS}.{factory}",
        id_.partition(":")[2],
        distributions,
        compiles=True,
        same_kernels=same_kernels,
    )


def _on_request(
    id_: str,
    factory: str,
    distributions: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    *,
    program: str = "",
    compiles: bool = False,
    traces: bool = False,
) -> BackendSpec:
    """A backend that is measured where it is named; an engine of Keras is no variant of another."""
    framework, _, variant = id_.partition(":")
    return BackendSpec(
        id_,
        f"{_ADAPTERS}.{factory}",
        "" if framework == "keras" else variant,
        distributions or (framework,),
        needs,
        program,
        on_request=True,
        compiles=compiles,
        traces=traces,
    )


_BUILTIN = (
    BackendSpec("native", f"{_ADAPTERS}.native:NativeAdapter"),
    BackendSpec(
        "native:torch",
        f"{_ADAPTERS}.native_torch:NativeTorchAdapter",
        "torch",
        ("torch",),
        same_kernels=True,
    ),
    _compiling("native:jax", "native_jax:NativeJaxAdapter", ("jax",), same_kernels=True),
    BackendSpec("torch", f"{_ADAPTERS}.torch:TorchAdapter", "", ("torch",)),
    _compiling("torch:compile", "torch:TorchCompileAdapter", ("torch",)),
    BackendSpec("paddle", f"{_ADAPTERS}.paddle:PaddleAdapter", "", _PADDLE),
    _compiling("paddle:static", "paddle:PaddleStaticAdapter", _PADDLE),
    BackendSpec(
        "tensorflow",
        f"{_ADAPTERS}.tensorflow:TensorflowAdapter",
        "",
        _TENSORFLOW,
        traces=True,
    ),
    _compiling("tensorflow:xla", "tensorflow:TensorflowXlaAdapter", _TENSORFLOW),
    _compiling("jax", "jax:JaxAdapter", ("jax",)),
    _compiling("jax:jit", "jax:JaxJitAdapter", ("jax",)),
    _compiling("optax", "optax:OptaxAdapter", ("optax",)),
    _compiling("optax:jit", "optax:OptaxJitAdapter", ("optax",)),
    _on_request("torch:module", "torch_variants:TorchModuleAdapter"),
    _on_request("torch:vmap", "torch_variants:TorchVmapAdapter"),
    _on_request("torch:autocast-bfloat16", "torch_variants:TorchAutocastBfloat16Adapter"),
    _on_request("torch:autocast-float16", "torch_variants:TorchAutocastFloat16Adapter"),
    _on_request("torch:jit", "torch_variants:TorchJitAdapter"),
    _on_request(
        "tensorflow:function", "tensorflow:TensorflowGraphAdapter", _TENSORFLOW, compiles=True
    ),
    _on_request("jax:vmap", "jax:JaxVmapAdapter", compiles=True),
    _on_request(
        "keras:tensorflow", "keras:KerasTensorflowAdapter", _TENSORFLOW, ("keras",), traces=True
    ),
    _on_request("keras:jax", "keras:KerasJaxAdapter", needs=("jax",), compiles=True),
    _on_request("keras:torch", "keras:KerasTorchAdapter", needs=("torch",)),
    _on_request("scipy", "libraries.scipy:ScipyAdapter"),
    _on_request("sklearn", "libraries.sklearn:SklearnAdapter", ("scikit-learn",)),
    _on_request("autograd", "libraries.autograd:AutogradAdapter"),
    _on_request("onnxruntime", "libraries.onnxruntime:OnnxruntimeAdapter", needs=("onnx",)),
    _on_request(
        "onnxruntime:torch",
        "libraries.onnxruntime:OnnxruntimeTorchAdapter",
        needs=("onnxscript", "torch"),
        compiles=True,
    ),
    _on_request("openvino", "libraries.openvino:OpenvinoAdapter", needs=("onnx",)),
    _on_request(
        "openvino:torch",
        "libraries.openvino:OpenvinoTorchAdapter",
        needs=("onnxscript", "torch"),
        compiles=True,
    ),
    _on_request("mlx", "libraries.mlx:MlxAdapter", needs=("mlx-cpu",)),
    _on_request("mindspore", "libraries.mindspore:MindsporeAdapter"),
    _on_request("pytensor", "libraries.pytensor:PytensorAdapter", compiles=True),
    _on_request("tinygrad", "libraries.tinygrad:TinygradAdapter", program="clang", compiles=True),
)


def builtin_backends() -> tuple[BackendSpec, ...]:
    """Return the backends of this package, variants and those on request included."""
    return _BUILTIN


def entry_point_backends() -> tuple[BackendSpec, ...]:
    """Return the backends that installed distributions register."""
    return tuple(
        BackendSpec(point.name, point.value, distributions=(point.dist.name,) if point.dist else ())
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    )


def resolve(name: str) -> BackendSpec:
    """Return the backend that ``name`` means.

    Args:
        name: a built-in id, the name of an entry point, ``package.module:Class``, or a function of
            the user's own, such as ``torch::package.module:name`` or ``torch::./path.py:name``;
            each may be followed by ``@python=/path/to/python`` to run it in another interpreter,
            or by ``@pip=2.10.0`` for another version of its framework, in an environment that is
            made when it starts, by ``@ssh=host`` to run it on another machine, and by
            ``@isa=x86-64-v3`` to hold its code to an instruction set.

    Raises:
        ValueError: there is no such backend; the message names the nearest of those that there are.
            Or its code cannot be held to the instruction set on this machine.
    """
    backend, given = locations.read(name)
    elsewhere = bool({"python", "release", "host"} & given.keys())
    known = {spec.id: spec for spec in (*entry_point_backends(), *_BUILTIN)}
    spec = known.get(backend)
    if spec is None and function_ids.SEPARATOR in backend:
        spec = _function(backend, elsewhere=elsewhere)
    if spec is None and _is_import_path(backend, known, elsewhere=elsewhere):
        spec = BackendSpec(backend, backend)
    if spec is None:
        near = nearest(backend, known)
        if _IMPORT_PATH.fullmatch(backend) and "." in backend.partition(":")[0]:
            near = f"there is no module {backend.partition('.')[0]}, installed or here"
        raise ValueError(
            f"backend {name!r} is unknown; {near}; or name package.module:Class "
            "of an importable adapter, or a function of your own as torch::./path.py:name; "
            "`bce-conformance backends` lists what there is"
        )
    if given.get("release"):
        given["python"] = str(_environment_of(name, spec, given["release"]))
    return replace(spec, id=name, **given) if given else spec


def _environment_of(name: str, spec: BackendSpec, version: str) -> Path:
    """The interpreter of the environment that a version of a framework has, or will have.

    Raises:
        ValueError: it is the native backend, or has no framework.
    """
    if not spec.distributions or spec.id.partition(":")[0] == "native":
        raise ValueError(
            f"backend {name!r}: pip= is for the framework of a built-in backend, and {spec.id} has "
            "none of its own; use python=/path/to/python"
        )
    environments.check_version(version)
    return environments.python_of(environments.folder_of(distribution_of(spec), version))


def distribution_of(spec: BackendSpec) -> str:
    """The distribution that another version of a backend's framework is installed of.

    Of several, such as ``tensorflow`` and ``tensorflow-cpu``, the one that is installed here.
    """
    return next(filter(_has_record, spec.distributions), spec.distributions[0])


def environment(spec: BackendSpec) -> None:
    """Make the environment of a backend with ``@pip=``, if it is not there yet.

    Raises:
        EnvironmentNotMadeError: pip could not install it.
    """
    if spec.release:
        environments.make(distribution_of(spec), spec.release, spec.needs)


def _function(backend: str, *, elsewhere: bool) -> BackendSpec:
    """The backend of a user's own function, in the framework of a built-in one.

    Raises:
        ValueError: there is no such framework, or no such function.
    """
    framework, function = function_ids.split(backend)
    function_ids.check_target(backend, function, elsewhere=elsewhere)
    of = {spec.id: spec for spec in _BUILTIN}.get(framework, BackendSpec(framework, ""))
    factory = f"{_ADAPTERS}.functions.{function_ids.FACTORIES[framework]}"
    return replace(of, id=backend, factory=factory, function=function)


def _is_import_path(backend: str, known: dict[str, BackendSpec], *, elsewhere: bool) -> bool:
    """Tell an adapter's import path from a mistyped id, without importing anything."""
    if not _IMPORT_PATH.fullmatch(backend):
        return False
    module = backend.partition(":")[0]
    if module in {name.partition(":")[0] for name in known}:  # no such variant, as in torch:fast
        return False
    package = module.partition(".")[0]
    return elsewhere or function_ids.importable(package)


def sibling(spec: BackendSpec) -> BackendSpec | None:
    """Return the backend whose compiled variant ``spec`` is, held and placed as it is, or None."""
    if not spec.variant:
        return None
    eager = resolve(spec.id.replace(f":{spec.variant}", "", 1))
    return replace(eager, instruction_set=spec.instruction_set)


def installed(spec: BackendSpec) -> bool:
    """Tell from installation records alone whether what ``spec`` needs is installed.

    A backend that names no distribution counts as installed: only starting it can tell.
    """
    if spec.program and not spec.host and not shutil.which(spec.program):
        return False
    if not spec.distributions:
        return True
    if spec.release or spec.host:
        return True  # it will be, or starting it tells
    if spec.python:
        return _installed_elsewhere(spec)
    return any(map(_has_record, spec.distributions)) and all(map(_has_record, spec.needs))


def not_installed(spec: BackendSpec) -> str:
    """What is said of a backend that is not installed, with what to do.

    Example: ``backend torch is not installed: python -m pip install 'bce-conformance[torch]'``,
    with the path of this Python.
    """
    told = f"backend {spec.id} is not installed"
    if spec.program and not shutil.which(spec.program):
        return f"{told}: it needs the program {spec.program} on the path"
    if spec.python:
        return f"{told} where {spec.python} looks: it needs {', '.join(spec.distributions)} there"
    absent = [] if any(map(_has_record, spec.distributions)) else list(spec.distributions[:1])
    absent += [name for name in spec.needs if not _has_record(name)]
    extras = dict.fromkeys(map(_extra_of, absent))
    return f"{told}: {installation(*extras)}"


def installation(*extras: str) -> str:
    """The command that installs extras of this package where this Python finds them."""
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install 'bce-conformance[{','.join(extras)}]'"


def _extra_of(distribution: str) -> str:
    """The extra of this package that a distribution comes with, and no other of the frameworks."""
    for text in importlib.metadata.requires("bce-conformance") or ():
        match = re.match(r"([\w.-]+).*extra == [\"'](\w+)[\"']", text)
        if match and match[1] == distribution:
            return match[2]
    return distribution


def _has_record(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _installed_elsewhere(spec: BackendSpec) -> bool:
    script = (
        "import importlib.metadata as m, sys\n"
        "names = {d.name for d in m.distributions()}\n"
        "any_of, all_of = (set(argument.split()) for argument in sys.argv[1:])\n"
        "sys.exit(not names & any_of or not all_of <= names)"
    )
    command = [spec.python, "-c", script, " ".join(spec.distributions), " ".join(spec.needs)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
