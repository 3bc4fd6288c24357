"""Backends with one fault each, run as ``impaired:Name``; right otherwise."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from bce_conformance.backends import BackendInfo, LossResult


class Right:
    """No fault: the loss of float32 logits by float64 arithmetic, hard targets only."""

    def info(self):
        version = os.environ.get("IMPAIRED_VERSION", "1")
        return BackendInfo("right", "right", version, dtypes=("float32",))

    def bind(self, call):
        return lambda: self.loss(call.logits.astype(np.float64), call.targets)

    def loss(self, logits, targets):
        wrong_way = np.where(targets == 1, -logits, logits)
        return np.maximum(wrong_way, 0) + np.log1p(np.exp(-np.abs(logits)))

    def fetch(self, raw):
        return LossResult({"loss": raw.astype(np.float32)})


class WrongAtAPeak(Right):
    """Off by one unit in the last place more for every three octaves that x is nearer to 2.758."""

    def loss(self, logits, targets):
        right = super().loss(logits, targets).astype(np.float32)
        octaves = -np.log2(np.clip(np.abs(logits - 2.758182), 2.0**-18, 1))
        return right + np.floor(octaves / 3) * np.spacing(right).astype(np.float64)


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


class HangsInTheTail(Hang):
    """Never returns from a call without a positive target, as VAL-2 makes it; right otherwise."""

    def bind(self, call):
        in_the_tail = call.weight is None and not call.targets.any()
        return super().bind(call) if in_the_tail else Right.bind(self, call)


class SegfaultInTheTail(Segfault):
    """Takes its process down in such a call; right otherwise."""

    def bind(self, call):
        in_the_tail = call.weight is None and not call.targets.any()
        return super().bind(call) if in_the_tail else Right.bind(self, call)


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
        return super().fetch(raw * (1 + 6 * 2.0**-24))


class Slow(Right):
    """Takes its time."""

    def bind(self, call):
        time.sleep(0.02)
        return super().bind(call)


class SlowToo(Slow, Sloppy):
    """Takes its time, too, and is a few ulps off."""


class Spared(Slow):
    """Says in a file of its name which process it is in."""

    def __init__(self):
        name = Path(os.environ["PID_FOLDER"], type(self).__name__)
        name.with_suffix(".new").write_text(str(os.getpid()))
        name.with_suffix(".new").rename(name)


class One(Spared):
    """To be killed."""


class Two(Spared):
    """To be killed, too."""
