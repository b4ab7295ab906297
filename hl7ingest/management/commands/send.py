"""Send messages from files to an HL7 API, as a sender's own system would."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

import hl7
import requests
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

_LINE = rb"(?:\A|(?<=[\r\n]))"  # CR ends a line here as well
_START = re.compile(_LINE + rb"(?=MSH)")
_BATCH = re.compile(_LINE + rb"(?:FHS|BHS|BTS|FTS)[^\r\n]*[\r\n]*")
TRIES = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a file."""

    file: str
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: AA, AR or AE, or the HTTP status where there was no acknowledgement."""

    item: Item
    code: str
    control_id: str
    text: str
    milliseconds: float


class Command(BaseCommand):
    help = "Send HL7 messages from files; several messages may stand in one file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--url", default="http://127.0.0.1:8000/hl7")
        parser.add_argument(
            "--user",
            default=os.environ.get("HL7_USER", ""),
            metavar="NAME:SECRET",
            help="or the environment variable HL7_USER, which other users of the machine don't see",
        )
        parser.add_argument("--concurrency", type=int, default=1, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        name, colon, secret = options["user"].partition(":")
        if not colon:
            raise CommandError("Say who sends: --user NAME:SECRET, or HL7_USER in the environment.")
        items = list(_items(options["files"]))
        client = Client(options["url"], (name, secret))
        console = Console()
        with ThreadPoolExecutor(max(1, options["concurrency"])) as pool:
            answers = list(
                track(
                    pool.map(client.send, items),
                    "Sending",
                    total=len(items),
                    console=console,
                    disable=not console.is_terminal,
                )
            )
        console.print(_table(answers))
        counts = Counter(answer.code for answer in answers)
        console.print(", ".join(f"{count} {code}" for code, count in sorted(counts.items())))
        if set(counts) - {"AA"}:
            raise SystemExit(1)


def _items(files: list[Path]) -> Iterator[Item]:
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        bodies = [body for body in _START.split(_BATCH.sub(b"", content)) if body.strip()]
        if not bodies:
            raise CommandError(f"{file} is empty")
        for number, body in enumerate(bodies, 1):
            yield Item(str(file), number, body)


class Client:
    """Posts messages; one connection a thread."""

    def __init__(self, url: str, credential: tuple[str, str]) -> None:
        self._url = url
        self._credential = credential
        self._local = local()

    def send(self, item: Item) -> Answer:
        """Send one message. Where no answer came it is sent again, as the published page asks."""
        begun = time.perf_counter()
        for attempt in range(TRIES):
            try:
                response = self._session().post(
                    self._url,
                    data=item.body,
                    headers={"Content-Type": "application/hl7-v2"},
                    timeout=60,
                )
            except requests.ConnectionError:
                code, control_id, text = "none", "", "no answer"
            else:
                code, control_id, text = _read(response)
                if response.status_code not in {429, 503}:
                    break
            time.sleep(attempt)
        return Answer(item, code, control_id, text, (time.perf_counter() - begun) * 1000)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.auth = tuple(part.encode() for part in self._credential)  # type: ignore[assignment]
        return session


def _read(response: requests.Response) -> tuple[str, str, str]:
    """Return MSA-1, MSA-2 and MSA-3, or the HTTP status and its words."""
    try:
        msa = hl7.parse(response.text).segment("MSA")
    except (KeyError, IndexError, hl7.ParseException):
        return str(response.status_code), "", response.text.strip()[:200]
    fields = [str(msa[number]) if number < len(msa) else "" for number in (1, 2, 3)]
    return fields[0], fields[1], fields[2]


def _table(answers: list[Answer]) -> Table:
    table = Table("file", "#", "MSH-10", "answer", "text", "ms")
    table.columns[5].justify = "right"
    for column in table.columns:
        column.overflow = "fold"  # a long file name or id is wrapped, never cut
    for answer in answers:
        cells = (answer.item.file, str(answer.item.number), answer.control_id)
        told = (answer.code, answer.text, f"{answer.milliseconds:.0f}")
        table.add_row(*(escape(cell) for cell in cells + told))
    return table
