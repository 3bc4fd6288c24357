"""The commands of docs/sweeps.md, run as they are written, and what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sweeps.md"
COMMAND = re.compile(r"^\$ (?P<line>.+?)(?:  # exits (?P<code>\d+))?$")


def test_commands_print_what_the_page_says(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    tools = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    ran: list[tuple[str, list[str], list[str]]] = []
    for line in block.splitlines():
        if match := COMMAND.match(line):
            done = subprocess.run(
                match["line"],
                shell=True,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=170,
                check=False,
            )
            assert done.returncode == int(match["code"] or 0), done.stderr
            ran.append((match["line"], done.stdout.splitlines() + done.stderr.splitlines(), []))
        else:
            ran[-1][2].append(line)
    assert len(ran) == 4
    for _, printed, written in ran:
        assert printed == written
