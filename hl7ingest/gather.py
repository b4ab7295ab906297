"""Group commit: all that arrives while a transaction runs shares the next one.

No message waits for a timer: as soon as a transaction is committed, whatever came meanwhile goes
into the next. With one sender that is one message a transaction, with thirty it is about thirty.
Measured in `docs/performance.md`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from hl7ingest import inbox
from hl7ingest.arrival import Arrival, NotKept, Refused
from hl7ingest.wake import waker
from partners.authentication import Caller

T = TypeVar("T")
logger = logging.getLogger(__name__)
MOST_BYTES = 8 * 1024 * 1024  # of messages in one transaction
MOST_MESSAGES = 200
LONGEST_LINE = 2000  # messages that may wait for the database; then 503
USE_NOTED_EVERY = timedelta(seconds=5)

Item = Arrival | Refused
Waiting = tuple[Item, "asyncio.Future[inbox.Answer | None]"]


class Gatherer:
    """Collects what must be durable, and makes it so from one thread with one connection."""

    def __init__(self) -> None:
        self._line: deque[Waiting] = deque()
        self._running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._uses: dict[int, tuple[datetime, str]] = {}
        self._noted_at = timezone.now()

    def keep(self, item: Item) -> asyncio.Future[inbox.Answer | None]:
        """Return what will hold the inbox's answer once it is committed, or raise `NotKept`."""
        if len(self._line) >= LONGEST_LINE:
            raise NotKept(retryable=True)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[inbox.Answer | None] = loop.create_future()
        self._line.append((item, future))
        if not self._running:
            self._running = True
            self._task = loop.create_task(self._run())
        return future

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run `function` on the thread that has the connection."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: _with_connection(function))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._line:
                batch = self._take()
                answers = await loop.run_in_executor(
                    self._thread, self._write, [item for item, _ in batch]
                )
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, NotKept):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._running = False

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._line and len(batch) < MOST_MESSAGES and size < MOST_BYTES:
            item, future = self._line.popleft()
            size += len(item.raw) if isinstance(item, Arrival) else 0
            batch.append((item, future))
        return batch

    def _write(self, items: list[Item]) -> list[inbox.Answer | NotKept | None]:
        """Commit all together; where that fails, each alone, so that none fails for another."""
        try:
            return [*_with_connection(lambda: self._commit(items))]
        except Exception as error:
            error_id = uuid.uuid4().hex
            logger.exception("messages not kept", extra={"count": len(items), "error_id": error_id})
            # A statement that the database refuses is no database out of reach
            lost = isinstance(error, InterfaceError | OperationalError)
            unreachable = lost and not (connection.connection and connection.is_usable())
            if len(items) == 1 or unreachable:
                return [NotKept(retryable=unreachable, error_id=error_id) for _ in items]
            return [answer for item in items for answer in self._write([item])]

    def _commit(self, items: list[Item]) -> list[inbox.Answer | None]:
        arrivals = [item for item in items if isinstance(item, Arrival)]
        refused = [item for item in items if isinstance(item, Refused)]
        answers = iter(inbox.keep(arrivals) if arrivals else [])
        if refused:
            inbox.file_refusals(refused)
        self._write_uses()
        if arrivals:
            waker.wake()
        return [next(answers) if isinstance(item, Arrival) else None for item in items]

    def note_use(self, caller: Caller) -> None:
        """Remember that a secret was used; it is written with what is kept next."""
        self._uses[caller.secret_id] = timezone.now(), caller.address

    def _write_uses(self) -> None:
        now = timezone.now()
        if self._uses and now - self._noted_at >= USE_NOTED_EVERY:
            uses, self._uses, self._noted_at = self._uses, {}, now
            inbox.note_use(uses)


def _with_connection(function: Callable[[], T]) -> T:
    """Return what `function` returns; where the connection was lost, once more on a new one."""
    try:
        return function()
    except (InterfaceError, OperationalError):
        connection.close()
        return function()
