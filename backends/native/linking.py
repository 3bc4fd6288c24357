"""How a function is compiled to be linked into kernels alone, with inner parts of Numba.

A function that is called from Python all the same, as by tests, is compiled for that anew.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from numba import _dynfunc, njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering


class _Library(JITCodeLibrary):  # type: ignore[misc, unused-ignore]
    """LLVM's code of a function and all that it calls: optimised, but no machine code."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):  # type: ignore[misc, unused-ignore]
    """Makes LLVM's code of a function, without what calls it from Python and C."""

    _name = "linked_lowering"

    def run_pass(self, state: Any) -> bool:
        flags, context = state.flags, state.targetctx
        library = _Library(context.codegen(), state.func_id.func_qualname)
        state.library = library
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        super().run_pass(state)
        library._ensure_finalized()
        lowered = state["cr"]
        # Stands for the function where others call it; its address is never asked for.
        key = _dynfunc.make_function(
            lowered.fndesc.lookup_module(), lowered.fndesc.qualname, "", 0, lowered.env, (library,)
        )
        context.insert_user_function(key, lowered.fndesc, [library])
        state.reload_init.extend(library._reload_init)
        state["cr"] = _LowerResult(lowered.fndesc, lowered.call_helper, cfunc=key, env=lowered.env)
        return True


class _Compiler(CompilerBase):  # type: ignore[misc, unused-ignore]
    """Numba's own, but for the last step."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_Lowering if step is NativeLowering else step, description)
            for step, description in passes.passes
        ]
        passes.finalize()
        return [passes]


class Linked(CPUDispatcher):  # type: ignore[misc, unused-ignore]
    """A function for other compiled functions, and another one of the same source for Python.

    Args:
        function: the source.
        options: those of ``njit``.
    """

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        self._options = options
        told = {"nopython": True, "boundscheck": None, **options}
        super().__init__(function, targetoptions=told, pipeline_class=_Compiler)

    def add_overload(self, compiled: Any) -> None:
        """Keep a compiled function for others that call it, and out of Python's reach."""
        self.overloads[tuple(compiled.signature.args)] = compiled

    def _compile_for_args(self, *arguments: Any, **named: Any) -> Any:
        return self._called._compile_for_args(*arguments, **named)

    @cached_property
    def _called(self) -> Any:
        return njit(**self._options)(self.py_func)
