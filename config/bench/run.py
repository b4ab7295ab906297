"""One run: prepare, start what the Procfile says, measure step by step, and stop everything."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import redis
from django.conf import settings

from config.bench import client, processes
from config.bench.database import Counts, Database
from config.bench.messages import Maker, people, requests
from config.bench.processes import Processes
from config.bench.table import Step, percentile
from config.demonstration import PARTNER_SECRET, PARTNER_USERNAME

CONNECTIONS = (1, 8, 32)
MOST_A_SECOND = 6000  # messages made beforehand for a second of load
NO_PROGRESS = 20.0  # seconds without an outcome after which messages count as stuck
PEEK = 0.1  # seconds between two looks at the queue
SMALL, FIRST, MIXED = "A28", "A28, each a new record", "mixed"
PGBENCH, CANNED = "pgbench, one row a commit", "client alone, canned AA"


@dataclass(slots=True)
class Report:
    """What a run has found."""

    steps: list[Step] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    web_memory: float = 0.0  # MiB
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a run."""

    server: str
    broker: str
    seconds: float
    patients: int
    rounds: int
    workers: bool = True
    profiles: Path | None = None


class Bench:
    """Everything that a run has started, by name."""

    def __init__(self, wanted: Wanted, tell: Callable[[str], None]) -> None:
        self._wanted, self._tell = wanted, tell
        self._database = Database(wanted.server)
        self._report = Report()
        self._roots: dict[str, int] = {}

    def run(self) -> Report:
        """Measure; whatever happens, leave nothing behind."""
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self._redis = stack.enter_context(redis.Redis.from_url(self._wanted.broker))
            self._redis.ping()
            if self._redis.dbsize():
                raise processes.Stopped("The Redis database is not empty. Choose another.")
            stack.callback(self._redis.flushdb)
            stack.callback(self._database.drop)
            self._database.create()
            self._report.versions = self._database.check()
            self._processes = Processes(self._folder)
            stack.callback(self._processes.stop)
            stack.callback(_ignore_interrupts)
            self._environment = self._make_environment()
            self._prepare()
            self._start()
            self._measure()
            if self._wanted.profiles:
                self._profile(self._wanted.profiles)
            self._report.web_memory = processes.peak_memory(processes.tree(self._roots["web"]))
            self._report.complaints = self._processes.complaints()
        return self._report

    def _make_environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "HOME", "TMPDIR")}
        kept |= {k: v for k, v in os.environ.items() if k.endswith("_CONCURRENCY")}
        self._port = processes.free_port()
        return kept | {
            "DATABASE_URL": self._database.url,
            "REDIS_URL": self._wanted.broker,
            "SECRET_KEY": secrets.token_urlsafe(64),
            "HTTPS": "false",
            "SANDBOX": "true",
            "VAR_DIR": str(self._folder / "var"),
            "PORT": str(self._port),
        }

    def _prepare(self) -> None:
        self._tell(f"Preparing: demonstration data, {self._wanted.patients:,} patients ...")
        (self._folder / "var").mkdir()
        command = [sys.executable, "-m", "config.bench.prepare", str(self._wanted.patients)]
        done = subprocess.run(  # noqa: S603
            command,
            env=self._environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise processes.Stopped(f"The data could not be prepared:\n{done.stderr[-2000:]}")
        self._patients = people(self._wanted.patients)
        self._started = self._wanted.patients

    def _start(self) -> None:
        commands = processes.procfile(self._environment)
        names = ["web", "worker", "beat"] if self._wanted.workers else ["web"]
        for name in names:
            self._roots[name] = self._processes.start(name, commands[name], self._environment)
        self._processes.wait_for_http("web", f"http://127.0.0.1:{self._port}/readyz")
        if self._wanted.workers:
            self._processes.wait_for_line("worker", " ready.")
        canned = commands["web"][:-1]
        canned[canned.index("--port") + 1] = str(processes.free_port())
        self._canned = [*canned, "config.bench.canned:application"]

    def _measure(self) -> None:
        maker, steps = Maker(self._patients), self._report.steps
        amount = int(self._wanted.seconds * MOST_A_SECOND)
        self._load(SMALL, 8, maker.a28s(amount), 2.0)  # to warm up; not told
        steps.append(self._client_alone(maker.a28s(amount)))
        for turn in range(self._wanted.rounds):
            self._tell(f"Round {turn + 1} of {self._wanted.rounds} ...")
            for connections in CONNECTIONS:
                beside = self._pgbench(connections)
                ours = self._load(SMALL, connections, maker.a28s(amount))
                ours.beside = beside.rate
                steps += [beside, ours]
            steps.append(self._load(FIRST, 32, maker.first_a28s(amount, self._started)))
            self._started += amount
            steps.append(self._load(MIXED, 32, maker.mixed(amount)))

    def _profile(self, folder: Path) -> None:
        """Load once more while py-spy looks on; what it sees goes to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        maker, seconds = Maker(self._patients, seed=2), self._wanted.seconds
        amount = int(seconds * MOST_A_SECOND)
        for name, messages in ((SMALL, maker.a28s(amount)), (MIXED, maker.mixed(amount))):
            self._tell(f"Profiling {name} ...")
            spies = [f"{name}-{who}" for who in ("web", "worker") if who in self._roots]
            for spy in spies:
                command = [str(Path(sys.executable).parent / "py-spy"), "record", "--subprocesses"]
                command += ["--format", "raw", "--rate", "200", "--duration", f"{seconds:.0f}"]
                command += ["--output", str(folder / f"{spy}.txt")]
                command += ["--pid", str(self._roots[spy.rpartition("-")[2]])]
                self._processes.start(spy, command, self._environment)
            self._load(name, 32, messages)
            self._processes.finish(spies)

    def _client_alone(self, messages: list[bytes]) -> Step:
        """Measure our own client against a server that does nothing."""
        port = int(self._canned[self._canned.index("--port") + 1])
        self._processes.start("canned", self._canned, self._environment)
        self._processes.wait_for_http("canned", f"http://127.0.0.1:{port}/")
        ready = requests(messages * 8, port, PARTNER_USERNAME, PARTNER_SECRET)
        before = _own_cpu()
        load = client.send(ready, port, 32, min(4.0, self._wanted.seconds))
        used = _own_cpu() - before
        self._processes.stop(["canned"])
        step = _step(CANNED, 32, load)
        step.cpu = {"client": used * 1000 / max(1, step.messages)}
        return step

    def _pgbench(self, connections: int) -> Step:
        rate, latency = self._database.pgbench(connections, self._wanted.seconds, self._folder)
        return Step(PGBENCH, connections, rate, latency)

    def _load(
        self, name: str, connections: int, messages: list[bytes], seconds: float = 0.0
    ) -> Step:
        """Send, let the workers finish, and count."""
        ready = requests(messages, self._port, PARTNER_USERNAME, PARTNER_SECRET)
        self._database.vacuum()
        before, cpu = self._database.counts(), self._cpu()
        load = client.send(ready, self._port, connections, seconds or self._wanted.seconds)
        stuck = self._drain() if self._wanted.workers else 0
        spent = {group: value - cpu[group] for group, value in self._cpu().items()}
        self._processes.check()
        step = _step(name, connections, load)
        step.stuck = stuck
        step.cpu = {group: s * 1000 / max(1, step.messages) for group, s in spent.items()}
        self._count(step, before, self._database.counts())
        return step

    def _count(self, step: Step, before: Counts, after: Counts) -> None:
        kept = after.messages - before.messages
        step.per_commit = kept / max(1, after.commits - before.commits)
        step.wal = (after.wal - before.wal) / max(1, kept)
        step.deadlocks = after.deadlocks - before.deadlocks
        step.rollbacks = after.rollbacks - before.rollbacks
        step.outcomes = {
            state: number
            for state in after.outcomes
            if (number := after.outcomes[state] - before.outcomes.get(state, 0))
        }
        settled, seconds = self._database.seconds_of(before.messages)
        step.applied = settled / seconds if seconds else 0.0
        if kept != step.messages:
            step.other["acknowledged, but not in the database"] = step.messages - kept

    def _drain(self) -> int:
        """Wait until the workers have settled everything; return what they do not settle."""
        least, since = self._database.waiting(), time.monotonic()
        while least:
            time.sleep(PEEK)
            self._processes.check()
            waiting = self._database.waiting()
            if waiting < least:
                least, since = waiting, time.monotonic()
            elif time.monotonic() - since > NO_PROGRESS:
                break
        return least

    def _cpu(self) -> dict[str, float]:
        """Return the seconds of CPU used so far, by group; `others` is the rest of the machine."""
        worker = [self._roots[name] for name in ("worker", "beat") if name in self._roots]
        used = {
            "web": processes.cpu(processes.tree(self._roots["web"])),
            "worker": processes.cpu(pid for root in worker for pid in processes.tree(root)),
            "postgres": processes.cpu(processes.named("postgres")),
            "redis": processes.cpu(processes.named("redis-server")),
            "client": _own_cpu(),
        }
        return used | {"others": processes.machine_cpu() - sum(used.values())}


def _ignore_interrupts() -> None:
    """From here on everything is being stopped already."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _step(name: str, connections: int, load: client.Load) -> Step:
    return Step(
        name,
        connections,
        load.rate,
        percentile(load.latencies, 0.5) * 1000,
        percentile(load.latencies, 0.99) * 1000,
        messages=len(load.latencies),
        other=dict(load.other),
    )
