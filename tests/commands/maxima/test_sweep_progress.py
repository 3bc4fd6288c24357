"""How far a sweep is, with rate and time left."""

import io

from rich.console import Console

from bce_conformance.terminal.sweeping import Rate, reporter


def test_the_rate_leaves_out_what_an_earlier_sweep_did() -> None:
    moments = iter([0.0, 100.0, 100.0, 110.0])
    rate = Rate(lambda: next(moments))
    assert rate.line(8_000_000, 20_000_000) == "8,000,000 of 20,000,000 points (40.0 %)"
    text = rate.line(10_000_000, 20_000_000)
    assert text == "10,000,000 of 20,000,000 points (50.0 %), 0.20 million a second, 0:50 left"


def test_without_a_terminal_there_are_few_lines_and_the_last() -> None:
    for quiet, count in ((False, 2), (True, 0)):
        console = Console(file=io.StringIO(), force_terminal=False)
        with reporter(console, quiet=quiet) as report:
            for done in range(101):
                report(done, 100)
        assert isinstance(console.file, io.StringIO)
        lines = console.file.getvalue().splitlines()
        assert len(lines) == count
        if lines:
            assert lines[0] == "0 of 100 points (0.0 %)"
            assert lines[1].startswith("100 of 100 points (100.0 %), ")
