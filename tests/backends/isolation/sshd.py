"""A daemon of OpenSSH that a test starts for itself: own keys, own port, on the loopback only."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parents[2]
# All that the far side has beside Python; no package of ours.
NEEDED = ("numpy", "numpy.libs", "ml_dtypes", "scipy", "scipy.libs")


@dataclass(frozen=True)
class Host:
    """A machine that can be reached as ``there``.

    Attributes:
        client: the command that reaches it.
        python: an interpreter there, with little installed.
        home: the folder of which its workers know by ``ELSEWHERE``.
        temporary: the folder in which its workers make theirs.
        daemon: the process that listens.
    """

    client: str
    python: str
    home: Path
    temporary: Path
    daemon: psutil.Process

    def connections(self) -> list[psutil.Process]:
        """The daemon's processes, one or more a connection."""
        return [p for p in self.daemon.children(recursive=True) if "sshd" in p.name()]

    def break_off(self) -> None:
        """Break all connections, as a network does."""
        for process in self.connections():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _lean_python(folder: Path) -> str:
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    import numpy

    packages = Path(numpy.__file__).parents[1]
    for name in NEEDED:
        if (packages / name).exists():
            (site / name).symlink_to(packages / name)
    for record in packages.glob("scipy-*.dist-info"):
        (site / record.name).symlink_to(record)
    return str(folder / "bin" / "python")


def _daemon_program() -> str:
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None and "CI" in os.environ:
        pytest.fail("no sshd: .ci/run installs openssh-server")
    if found is None:
        pytest.skip("no sshd; Debian: apt-get install openssh-server")
    return found


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Host]:
    """A host while it is needed; skips the test where there is no sshd, and fails in CI."""
    program = _daemon_program()
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # it insists
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(key, check=True)
    (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
    home, temporary = folder / "home", folder / "temporary"
    home.mkdir()
    temporary.mkdir()
    port = _free_port()
    told = f"PYTHONPATH={TESTS / 'backends'}:{TESTS / 'conformance'} "
    told += f"ELSEWHERE={home} TMPDIR={temporary} PYTHONDONTWRITEBYTECODE=1"
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPermitRootLogin yes\nSetEnv {told}\n"
    )
    (folder / "config").write_text(
        f"Host there\nHostName 127.0.0.1\nPort {port}\nIdentityFile {folder}/user\n"
        f"User {pwd.getpwuid(os.geteuid()).pw_name}\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {folder}/known_hosts\nStrictHostKeyChecking accept-new\n"
    )
    with (folder / "sshd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log
        )
    try:
        _wait_for(port, daemon, folder / "sshd.log")
        python = _lean_python(folder / "lean")
        yield Host(f"ssh -F {folder}/config", python, home, temporary, psutil.Process(daemon.pid))
    finally:
        daemon.kill()
        daemon.wait()


def _wait_for(port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"sshd does not listen: {log.read_text()} (Python {sys.version})")
