"""Backends with faults, run in workers as `faulty:Name`; each is right when logits are 0."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np

from bce_conformance.backends import BackendInfo, Device, LossCall, LossResult, UnsupportedCall
from bce_conformance.backends.adapters.base import Adapter


class Echo:
    """Returns every array of the call as a quantity, and has no fault."""

    def info(self):
        return BackendInfo(id="echo", framework="echo", version="1", variant="loud")

    def bind(self, call: LossCall):
        return lambda: self.thunk(call)

    def thunk(self, call: LossCall):
        if call.logits.size and call.logits.flat[0]:
            self.fault(call)
        names = ("logits", "targets", "weight", "pos_weight", "cotangent", "tangent")
        arrays = {name: getattr(call, name) for name in names}
        return {name: array for name, array in arrays.items() if array is not None}

    def fetch(self, raw):
        return LossResult(raw)

    def fault(self, call):
        pass


WORD = os.environ.get("BCE_WORD", "unset")  # as it was when the module was imported


class Repeats(Echo):
    """Has a word of its environment as its version."""

    def info(self):
        return BackendInfo(id="repeats", framework="echo", version=WORD)


class OnCuda(Echo):
    """Has a device ``cuda``, and says what it was asked for."""

    def info(self):
        devices = (Device("cuda", "a pretence"),)
        return BackendInfo(id="cuda", framework="echo", version="1", devices=devices)

    def bind(self, call: LossCall):
        if call.device != "cuda":
            raise UnsupportedCall(f"no device {call.device}")
        return lambda: {"loss": call.logits[:1] + call.targets[:1]}


class Impatient(Echo):
    """Fails without real-time priority once it is warm."""

    calls = 0

    def thunk(self, call):
        self.calls += 1
        if self.calls > 3 and os.sched_getscheduler(0) != os.SCHED_RR:
            raise RuntimeError("others come first")


class Segfault(Echo):
    def fault(self, call):
        print("the last words", file=sys.stderr, flush=True)
        ctypes.string_at(0)


class Exit(Echo):
    def fault(self, call):
        os._exit(0)


class SystemExit3(Echo):
    def fault(self, call):
        sys.exit(3)


class Hang(Echo):
    def fault(self, call):
        time.sleep(1000)


class HangWithoutInterpreter(Echo):
    """Hangs in C while it holds the GIL, so that no Python thread of the worker can act."""

    def fault(self, call):
        ctypes.PyDLL(None).sleep(1000)


class Busy(Echo):
    def fault(self, call):
        end = time.process_time() + 1.0
        while time.process_time() < end:
            pass


class HangWithChild(Echo):
    def fault(self, call):
        child = subprocess.Popen(["sleep", "1000"])
        with open(os.environ["CHILD_PID_FILE"], "w") as file:
            file.write(f"{child.pid}\n")
        child.wait()


class Print(Echo):
    def fault(self, call):
        print("to standard output")
        ctypes.CDLL(None).puts(b"to fd 1 from C")
        ctypes.CDLL(None).fflush(None)
        os.write(1, b"straight to fd 1")
        os.write(2, b"straight to fd 2")


class Raise(Echo):
    def fault(self, call):
        raise ValueError("weight has shape (3,),\nwhich does not fit\n" + 1000 * "x")


class Refuse(Echo):
    def fault(self, call):
        raise UnsupportedCall("no such thing")


class CannotTravel(Echo):
    def fetch(self, raw):
        return LossResult({"logits": raw["logits"].astype(object)})


class WritesToTargets(Echo):
    """Modifies an operand in place, and a copy of another that only it holds."""

    def bind(self, call: LossCall):
        self.copy = call.logits.copy()
        return super().bind(call)

    def placed(self):
        return {"logits": self.copy}

    def fault(self, call):
        call.targets[-1] = 0.5
        self.copy[0] = 7


class DrawsRandomNumbers(Echo):
    """Moves the caller's random numbers, and leaves errors ignored."""

    settings = Adapter.settings

    def fault(self, call):
        np.random.default_rng()  # its own are its own
        np.random.normal()  # noqa: NPY002 - the mistake
        np.seterr(under="raise")


class WritesToLogits(Echo):
    """Modifies an operand in place."""

    def fault(self, call):
        call.logits[1] = 70


class Threads(Echo):
    """Returns the number of threads that it was set to as a quantity."""

    extensions = ("threads",)
    count = 8

    def set_threads(self, count):
        before, self.count = self.count, count
        return before

    def thunk(self, call):
        return {"threads": np.array(self.count)}


class InterruptItself(Echo):
    def fault(self, call):
        os.kill(os.getpid(), signal.SIGINT)


class InMainThread(Echo):
    def fault(self, call):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # raises anywhere else


class NotInstalled(Echo):
    def info(self):
        import a_framework_that_nobody_has  # noqa: F401


class RaisesOnImport(Echo):
    def info(self):
        raise ImportError("libframework.so: undefined symbol")


class CrashesOnImport(Echo):
    def info(self):
        with open(os.environ["START_COUNT_FILE"], "a") as file:
            file.write("x")
        os.abort()


class KilledOnImport(Echo):
    """Is killed at its first starts, as where memory is short; then it starts."""

    def info(self):
        with open(os.environ["START_COUNT_FILE"], "a") as file:
            file.write("x")
        if os.path.getsize(os.environ["START_COUNT_FILE"]) < int(os.environ["STARTS_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().info()


class HangsOnImport(Echo):
    def info(self):
        time.sleep(1000)


class SaysNothing(Echo):
    def info(self):
        return None


class SaysNonsense(Echo):
    def info(self):
        return BackendInfo(id="echo", framework="echo", version="1", dtypes=("fp32",))


class IsNoAdapter:
    def info(self):
        return BackendInfo(id="echo", framework="echo", version="1")
