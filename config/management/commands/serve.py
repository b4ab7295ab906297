"""Run everything on this machine: prepare, start web and worker, wait, tell; stop on Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import demonstration
from pkb.models import Organisation

HOST = "127.0.0.1"
PATIENCE = 60.0  # seconds until everything must be ready
GRACE = 2.0  # seconds to stop in; one that is killed loses nothing


class Command(BaseCommand):
    help = "Run the web server and a worker with its schedule, with demonstration data."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        _check_free(port)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        logs = settings.VAR / "log"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        started: list[tuple[str, subprocess.Popen[bytes]]] = []
        try:
            self._prepare()
            commands = _commands(port)
            started += [(name, _start(name, commands[name], logs)) for name in commands]
            _wait_until_ready(port, logs, started)
            self._tell(port)
            while True:
                time.sleep(0.5)
                for place, (name, process) in enumerate(started):
                    if process.poll() is not None:  # the row is the queue: nothing is lost
                        self.stdout.write(f"{name} has stopped and is started again.")
                        started[place] = name, _start(name, commands[name], logs)
        except KeyboardInterrupt:
            self.stdout.write("\nStopping.")
        finally:
            _stop(started)

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        if settings.SANDBOX and not Organisation.objects.exists():
            self.stdout.write("Loading the demonstration data ...")
            demonstration.load()

    def _tell(self, port: int) -> None:
        base = f"http://{HOST}:{port}"
        users = "".join(
            f"    {name:<16} {demonstration.PASSWORD}   {role}\n"
            for name, role in demonstration.USERS.items()
        )
        credential = f"{demonstration.PARTNER_USERNAME}:{demonstration.PARTNER_SECRET}"
        message = "docs/examples/a28-partner.hl7"
        self.stdout.write(
            f"\nReady at {base}/admin/ (Ctrl-C stops)\n\n"
            f"  Sign in as\n{users}\n"
            f"  The partner MailCo sends as {credential}, for {demonstration.ROYAL} "
            "(MSH-4 trustalias{trustalias}):\n\n"
            f"    curl -u {credential} --data-binary @{message} {base}/hl7 | tr '\\r' '\\n'\n"
        )
        self.stdout.flush()


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"Port {port} of {HOST} cannot be used ({error}). "
                "Stop what uses it, or choose another: make run PORT=8001"
            ) from None


def _commands(port: int) -> dict[str, list[str]]:
    """Return what runs: the same programs as in the Procfile, for one machine."""
    here = Path(sys.executable).parent
    web = ["--interface", "asgi", "--http", "1", "--no-ws", "--host", HOST, "--port", str(port)]
    web += ["--http1-header-read-timeout", "5000", "--backlog", "4096", "--backpressure", "4096"]
    celery = [str(here / "celery"), "-A", "config"]
    return {
        "web": [str(here / "granian"), *web, "config.asgi:application"],
        "worker": [*celery, "worker", "--concurrency", "1", "--loglevel", "INFO"],
        "beat": [*celery, "beat", "--loglevel", "WARNING"],
    }


def _start(name: str, command: list[str], logs: Path) -> subprocess.Popen[bytes]:
    with (logs / f"{name}.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command, stdout=log, stderr=log, cwd=settings.BASE_DIR, start_new_session=True
        )


def _wait_until_ready(
    port: int, logs: Path, started: list[tuple[str, subprocess.Popen[bytes]]]
) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _check_alive(started, logs)
        if _web_is_ready(port) and b" ready." in (logs / "worker.log").read_bytes():
            return
        time.sleep(0.1)
    raise CommandError(f"Not ready after {PATIENCE:.0f} seconds. See the logs in {logs}")


def _web_is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=2) as answer:
            return bool(json.load(answer)["ready"])
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _check_alive(started: list[tuple[str, subprocess.Popen[bytes]]], logs: Path) -> None:
    for name, process in started:
        if process.poll() is not None:
            tail = (logs / f"{name}.log").read_text(errors="replace")[-2000:]
            raise CommandError(f"{name} has stopped (exit {process.returncode}):\n{tail}")


def _stop(started: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    """Stop what was started, and what that started, and nothing else."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for _, process in started:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE
    for _, process in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
