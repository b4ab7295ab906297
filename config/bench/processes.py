"""Start what the Procfile names, stop it again, and count what processes cost."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from django.conf import settings

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0  # seconds until a process must be ready
GRACE = 15.0  # seconds a process has to stop
PROC = Path("/proc")
_DEFAULT = re.compile(r"\$\{(\w+):-(\w*)\}")


class Stopped(Exception):
    """Something that was started has ended by itself, or never became ready."""


def procfile(environment: dict[str, str]) -> dict[str, list[str]]:
    """Return the commands of the Procfile, for this machine alone."""
    here = Path(sys.executable).parent
    found = {}
    for line in (settings.BASE_DIR / "Procfile").read_text().splitlines():
        name, _, command = line.partition(": ")
        filled = _DEFAULT.sub(lambda m: environment.get(m[1]) or m[2], command)
        program, *rest = filled.replace("0.0.0.0", "127.0.0.1").split()  # noqa: S104
        found[name] = [str(here / program), *rest]
    return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """What the bench has started; all of it ends with the bench."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> int:
        """Start a process in a group of its own; return its id."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdout=log,
                stderr=log,
                cwd=settings.BASE_DIR,
                env=environment,
                start_new_session=True,
            )
        self._started[name] = process
        return process.pid

    def log(self, name: str) -> Path:
        """Return where a process writes what it says."""
        return self._logs / f"{name}.log"

    def wait_for_http(self, name: str, url: str) -> None:
        """Wait until `url` is answered with 200."""
        self._wait(name, lambda: _answers(url))

    def wait_for_line(self, name: str, line: str) -> None:
        """Wait until the process has said so."""
        self._wait(name, lambda: line in self.log(name).read_text(errors="replace"))

    def check(self) -> None:
        """Raise `Stopped` where a process has failed."""
        for name, process in self._started.items():
            if process.poll():
                tail = self.log(name).read_text(errors="replace")[-2000:]
                raise Stopped(f"{name} has stopped (exit {process.returncode}):\n{tail}")

    def complaints(self) -> list[str]:
        """Return the lines in which a process warned or failed."""
        lines = [
            f"{name}: {line}"
            for name in self._started
            for line in self.log(name).read_text(errors="replace").splitlines()
        ]
        marks = (" WARNING ", " ERROR ", " CRITICAL ", "Traceback", "[WARNING]", "[ERROR]")
        return [line for line in lines if any(mark in line for mark in marks)]

    def finish(self, names: Iterable[str]) -> None:
        """Wait until these have ended by themselves."""
        for name in names:
            self._started.pop(name).wait(PATIENCE)

    def stop(self, names: Iterable[str] = ()) -> None:
        """Stop these, or all: ask first, then end whatever they left."""
        chosen = {name: self._started.pop(name) for name in list(names) or list(self._started)}
        for process in chosen.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE
        for process in chosen.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.check()
            if is_ready():
                return
            time.sleep(0.1)
        raise Stopped(f"{name} was not ready after {PATIENCE:.0f} seconds.")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def tree(root: int) -> list[int]:
    """Return a process and everything that descends from it."""
    children: dict[int, list[int]] = {}
    for pid, stat in _stats():
        children.setdefault(int(stat[1]), []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def named(name: str) -> list[int]:
    """Return the processes of this name."""
    return [
        int(path.parent.name) for path in PROC.glob("[0-9]*/comm") if _text(path).strip() == name
    ]


def cpu(pids: Iterable[int]) -> float:
    """Return the seconds of CPU that these have used, and their children that have ended."""
    wanted = set(pids)
    return sum(sum(map(int, stat[11:15])) for pid, stat in _stats() if pid in wanted) / TICKS


def machine_cpu() -> float:
    """Return the seconds of CPU that everything on the machine has used."""
    user, nice, system, _idle, _wait, irq, softirq = map(
        int, _text(PROC / "stat").split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / TICKS


def peak_memory(pids: Iterable[int]) -> float:
    """Return the most memory, in MiB, that these have held, each at its own time."""
    status = "\n".join(_text(PROC / str(pid) / "status") for pid in pids)
    return sum(int(kib) for kib in re.findall(r"VmHWM:\s+(\d+)", status)) / 1024


def _stats() -> list[tuple[int, list[str]]]:
    """Return each process's stat from field 3 (state) on."""
    return [
        (int(path.parent.name), text.rpartition(")")[2].split())
        for path in PROC.glob("[0-9]*/stat")
        if (text := _text(path))
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""
