"""The real web server and worker, as processes with a database of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
MAILCO = ("partner_mailco", "testing")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(question: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the first true answer to `question`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := question():
            return answer
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Server:
    """Web, worker and beat of the product, started and killed by the tests."""

    def __init__(self, var: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.var = var
        self.environment = os.environ | {"VAR_DIR": str(var)} | environment
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *arguments: str) -> str:
        """Run a management command against the server's database, and return what it prints."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, python: str) -> Any:
        """Return what a Python expression over the models gives, by way of JSON."""
        code = (
            "import json\nfrom hl7ingest.models import *\nfrom records.models import *\n"
            "from partners.models import *\nfrom partners import services\n"
            f"from pkb.models import *\nprint('>>>' + json.dumps({python}, default=str))"
        )
        return json.loads(self.manage("shell", "-v", "0", "-c", code).rpartition(">>>")[2])

    def start(self, name: str) -> None:
        """Start `web` or a worker (`worker`, `worker-2` …)."""
        log = (self.var / f"{name}.log").open("ab")
        kind = name.partition("-")[0]
        web = ["--interface", "asgi", "--http", "1", "--no-ws", "--port", str(self.port)]
        worker = ["worker", "--concurrency", "2", "--loglevel", "INFO", "-n", f"{name}@%h"]
        commands = {
            "web": [str(BIN / "granian"), *web, "config.asgi:application"],
            "worker": [str(BIN / "celery"), "-A", "config", *worker],
            "beat": [str(BIN / "celery"), "-A", "config", "beat"],
        }
        with log:
            self.processes[name] = subprocess.Popen(
                commands[kind],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return once the web server answers that it is ready."""

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                    return bool(json.load(answer)["ready"])
            except OSError:
                return False

        wait_for(ready, 60)

    def kill(self, name: str) -> None:
        """Kill a process and all its children, by the group it was started in."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Stop everything."""
        for name in list(self.processes):
            self.kill(name)

    def post(self, body: str | bytes, auth: tuple[str, str] = MAILCO, **more: Any) -> Any:
        """Post one message."""
        return requests.post(
            more.pop("url", f"{self.url}/hl7"), data=body, auth=auth, timeout=30, **more
        )

    def status(self, control_id: str, auth: tuple[str, str] = MAILCO) -> requests.Response:
        """Ask what became of a message."""
        return requests.get(f"{self.url}/hl7/messages/{control_id}", auth=auth, timeout=10)

    def settled(self, control_id: str, seconds: float = 30.0) -> str:
        """Return the state of a message once it waits no longer."""

        def state() -> str | None:
            found = self.status(control_id).json()["state"]
            return None if found == "received" else str(found)

        return str(wait_for(state, seconds))


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """Give a PostgreSQL database of its own, where the tests run on PostgreSQL."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        yield {}
        return
    import psycopg  # noqa: PLC0415  (only where the tests run on PostgreSQL)

    parts = urlsplit(url)
    name = f"pkb_server_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield {"DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}"))}
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running(var: Path, *processes: str, **environment: str) -> Iterator[Server]:
    """Run the product with the demonstration data."""
    with database() as its_own:
        server = Server(var, **its_own, **environment)
        try:
            server.manage("migrate", "-v", "0")
            server.manage("demo")
            for name in processes or ("web", "worker", "beat"):
                server.start(name)
            server.wait_until_ready()
            yield server
        finally:
            server.stop()
