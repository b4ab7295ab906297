"""Measure speed: the real web server and workers on PostgreSQL and Redis, beside pgbench."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import psycopg
import redis
from django.core.management.base import BaseCommand, CommandError

from config.bench.client import Broken
from config.bench.database import NotDurable
from config.bench.processes import Stopped
from config.bench.run import Bench, Report, Wanted
from config.bench.table import as_json, median, table, troubles

SERVER = "postgres://postgres@127.0.0.1:5432/postgres"
BROKER = "redis://127.0.0.1:6379/10"
MOST_LINES = 20


class Command(BaseCommand):
    help = "Measure speed on PostgreSQL (BENCH_DATABASE_URL) and Redis (BENCH_REDIS_URL)."
    requires_system_checks = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--seconds", type=float, default=8.0, help="of load in each step")
        parser.add_argument("--patients", type=int, default=20_000)
        parser.add_argument("--rounds", type=int, default=1, help="medians of so many are told")
        parser.add_argument("--no-workers", action="store_true", help="only acknowledge")
        parser.add_argument(
            "--profile", type=Path, help="folder for py-spy's stacks of web, worker"
        )
        parser.add_argument("--json", type=Path, help="write every step of every round here")

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        wanted = Wanted(
            server=os.environ.get("BENCH_DATABASE_URL") or SERVER,
            broker=os.environ.get("BENCH_REDIS_URL") or BROKER,
            seconds=options["seconds"],
            patients=options["patients"],
            rounds=options["rounds"],
            workers=not options["no_workers"],
            profiles=options["profile"],
        )
        _check(wanted)
        try:
            report = Bench(wanted, self._tell).run()
        except (Broken, NotDurable, Stopped) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; what was started is removed.") from None
        self._print(report)
        if path := options["json"]:
            whole = {"versions": _versions(report), "web_memory_mib": report.web_memory}
            path.write_text(json.dumps(whole | {"steps": as_json(report.steps)}, indent=1))

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _print(self, report: Report) -> None:
        steps = median(report.steps)
        told = ", ".join(f"{name} {value}" for name, value in _versions(report).items())
        self._tell(f"\n{told}\n\n{table(steps)}\n")
        self._tell(f"Peak memory of web: {report.web_memory:.0f} MiB")
        for trouble in troubles(steps):
            self._tell(f"Trouble: {trouble}")
        for line in report.complaints[:MOST_LINES]:
            self._tell(f"Log: {line[:400]}")
        if len(report.complaints) > MOST_LINES:
            self._tell(f"Log: and {len(report.complaints) - MOST_LINES:,} lines more")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _check(wanted: Wanted) -> None:
    """Say what is missing, before anything is made."""
    if not shutil.which("pgbench"):
        raise CommandError("pgbench is missing: install PostgreSQL's client programs.")
    try:
        psycopg.connect(wanted.server, connect_timeout=5).close()
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        raise CommandError(
            f"PostgreSQL is missing: set BENCH_DATABASE_URL to a server where a database may be "
            f"created ({reason})."
        ) from None
    try:
        with redis.Redis.from_url(wanted.broker, socket_connect_timeout=5) as broker:
            broker.ping()
    except redis.RedisError as error:
        raise CommandError(
            f"Redis is missing: set BENCH_REDIS_URL to an empty database of a server ({error})."
        ) from None


def _versions(report: Report) -> dict[str, str]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "Django": django.__version__,
    } | report.versions
