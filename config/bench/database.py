"""The bench's own database: made, asked, measured by pgbench, and dropped."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

NAME = "pkb_bench"
_SCRIPT = "INSERT INTO bench_row (body) VALUES (repeat('x', 1000));\n"
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)
_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


class NotDurable(Exception):
    """The server does not wait for its disk, so that a rate would mean nothing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the database says has happened, in all."""

    messages: int
    commits: int  # transactions that kept messages
    waiting: int
    outcomes: dict[str, int]
    deadlocks: int
    rollbacks: int
    wal: int  # bytes


class Database:
    """A database made for the bench beside the one that it was given."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.url = urlunsplit(urlsplit(server)._replace(path=f"/{NAME}"))
        self._connection: psycopg.Connection[Any] | None = None

    def create(self) -> None:
        """Make it anew."""
        self._on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._on_server("CREATE DATABASE {}")
        self._connection = psycopg.connect(self.url, autocommit=True)
        self._ask("CREATE TABLE bench_row (id bigserial PRIMARY KEY, body text NOT NULL)")

    def drop(self) -> None:
        """Remove it."""
        if self._connection:
            self._connection.close()
        self._on_server("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def check(self) -> dict[str, str]:
        """Return the settings that make a commit durable, or raise `NotDurable`."""
        rows = self._ask("SELECT name, setting FROM pg_settings WHERE context <> 'internal'")
        found = {name: setting for name, setting in rows if name in _DURABLE}
        if off := [name for name, value in found.items() if value == "off"]:
            raise NotDurable(f"PostgreSQL has {', '.join(off)} off: no commit would be durable.")
        vacuums = str(self._ask("SHOW autovacuum")[0][0])
        return found | {
            "autovacuum": vacuums,
            "PostgreSQL": str(self._ask("SHOW server_version")[0][0]).split()[0],
        }

    def vacuum(self) -> None:
        """Do between two steps what autovacuum does in a minute, where it is on."""
        self._ask("VACUUM (ANALYZE)")

    def counts(self) -> Counts:
        """Return the counts of now."""
        self._ask("SELECT pg_stat_clear_snapshot()")
        stats = self._ask(
            "SELECT deadlocks, xact_rollback, pg_current_wal_lsn() - '0/0'::pg_lsn"
            " FROM pg_stat_database WHERE datname = current_database()"
        )
        messages = self._ask(
            "SELECT count(*), count(DISTINCT xmin::text) FROM hl7ingest_inboundmessage"
        )
        outcomes = self._ask("SELECT state, count(*) FROM hl7ingest_outcome GROUP BY state")
        (deadlocks, rollbacks, wal), (kept, commits) = stats[0], messages[0]
        return Counts(
            messages=kept,
            commits=commits,
            waiting=self.waiting(),
            outcomes={str(state): int(number) for state, number in outcomes},
            deadlocks=deadlocks,
            rollbacks=rollbacks,
            wal=int(wal),
        )

    def waiting(self) -> int:
        """Return how many messages wait for a worker."""
        return int(self._ask("SELECT count(*) FROM hl7ingest_queueentry")[0][0])

    def seconds_of(self, after: int) -> tuple[int, float]:
        """Return what was settled of all but the first `after` messages, and within how long.

        From the moment the first was received to the moment the last had its outcome.
        """
        row = self._ask(
            "SELECT count(*), extract(epoch FROM max(o.at) - min(m.received_at))"
            " FROM (SELECT id, received_at FROM hl7ingest_inboundmessage ORDER BY id OFFSET %s) m"
            " JOIN hl7ingest_outcome o ON o.message_id = m.id",
            after,
        )[0]
        return int(row[0]), float(row[1] or 0.0)

    def pgbench(self, clients: int, seconds: float, folder: Path) -> tuple[float, float]:
        """Return commits a second of one 1 KB row each, and their mean latency in ms."""
        script = folder / "one-row.sql"
        script.write_text(_SCRIPT)
        command = ["pgbench", "-n", "-M", "prepared", "-f", str(script), "-c", str(clients)]
        command += ["-j", str(min(clients, 2)), "-T", str(max(1, round(seconds))), self.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        rate, latency = _RATE.search(done.stdout), _LATENCY.search(done.stdout)
        assert rate
        assert latency
        self._ask("TRUNCATE bench_row")
        return float(rate[1]), float(latency[1])

    def _ask(self, query: LiteralString, *values: int) -> list[tuple[Any, ...]]:
        assert self._connection
        cursor = self._connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []

    def _on_server(self, statement: LiteralString) -> None:
        with psycopg.connect(self._server, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(NAME)))
