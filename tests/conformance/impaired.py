"""Backends with one fault each, run as ``impaired:Name``; right otherwise."""

import ctypes
import os
import time
from pathlib import Path

from bce_conformance.backends import BackendInfo
from bce_conformance.backends.native_adapter import NativeAdapter


class Right(NativeAdapter):
    """No fault; describes itself without a call, so that faults come when a cell is measured."""

    def info(self):
        return BackendInfo("right", "right", "1")


class Segfault(Right):
    """Takes its process down in every call."""

    def bind(self, call):
        return lambda: ctypes.string_at(0)


class ExitZero(Right):
    """Ends its process in mid-call as if all were well."""

    def bind(self, call):
        return lambda: os._exit(0)


class Hang(Right):
    """Never returns; says in a file that it was reached."""

    def bind(self, call):
        def hang():
            if "HANG_FILE" in os.environ:
                Path(os.environ["HANG_FILE"]).write_text(str(os.getpid()))
            time.sleep(1000)

        return hang


class HangsOnStart(Hang):
    """Its framework's import never returns."""

    def info(self):
        self.bind(None)()


class Talkative(Right):
    """Prints to standard output, from Python and from C."""

    def bind(self, call):
        thunk = super().bind(call)

        def talk():
            print("hello")
            os.write(1, b"hello from below\n")
            return thunk()

        return talk


class RaisesOnImport(Right):
    """Its framework cannot be imported."""

    def info(self):
        raise OSError("libframework.so: undefined symbol")


class Sloppy(Right):
    """Returns the right loss a few ulps off."""

    def fetch(self, raw):
        result = super().fetch(raw)
        for array in result.values.values():
            array[...] = array * (1 + 6 * 2.0**-24)
        return result
