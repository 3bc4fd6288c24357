"""Prints which kernels compiling ahead launches on the simulated device, by format of results."""

import copies

from bce_conformance.native.device import evaluation, training
from bce_conformance.native.warmup import compile_for_device

launched = set()


class Recorded:
    """A kernel that notes the format of the array that it is asked to write to."""

    def __init__(self, name, kernel, result):
        self.name, self.kernel, self.result = name, kernel, result

    def __getitem__(self, grid):
        def launch(*arguments):
            launched.add(f"{self.name} {arguments[self.result].dtype}")
            return self.kernel[grid](*arguments)

        return launch


copies.compile_ahead()
training.training_pass = Recorded("training", training.training_pass, 4)
evaluation.elements = Recorded("elements", evaluation.elements, 5)
evaluation.sums = Recorded("sums", evaluation.sums, 6)
compile_for_device()
for line in sorted(launched):
    print(line)
