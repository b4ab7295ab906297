"""Group commit: all that arrives while a transaction runs shares the next one.

No message waits for a timer: as soon as a transaction is committed, whatever came meanwhile goes
into the next. With one sender that is one message a transaction, with thirty it is about thirty.
Measured in `docs/performance.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from hl7ingest import inbox
from hl7ingest.arrival import Arrival, NotKept, Refused
from hl7ingest.wake import waker

T = TypeVar("T")
logger = logging.getLogger(__name__)
MOST_BYTES = 8 * 1024 * 1024  # of messages in one transaction
MOST_MESSAGES = 200
LONGEST_LINE = 2000  # messages that may wait for the database; then 503
USE_NOTED_EVERY = timedelta(seconds=5)

Item = Arrival | Refused
Waiting = tuple[Item, "asyncio.Future[inbox.Answer | None]"]


@dataclass
class _Use:
    noted_at: datetime
    pending: tuple[datetime, str] | None = None


class Gatherer:
    """Collects what must be durable, and makes it so from one thread with one connection."""

    def __init__(self) -> None:
        self._line: deque[Waiting] = deque()
        self._running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._uses: dict[int, _Use] = {}

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
            logger.exception("messages not kept", extra={"count": len(items)})
            unreachable = isinstance(error, InterfaceError | OperationalError)
            if len(items) == 1 or unreachable:
                return [NotKept(retryable=unreachable) for _ in items]
            return [answer for item in items for answer in self._write([item])]

    def _commit(self, items: list[Item]) -> list[inbox.Answer | None]:
        arrivals = [item for item in items if isinstance(item, Arrival)]
        refused = [item for item in items if isinstance(item, Refused)]
        answers = iter(inbox.keep(arrivals) if arrivals else [])
        if refused:
            inbox.file_refusals(refused)
        self._note_uses(arrivals)
        if arrivals:
            waker.wake()
        return [next(answers) if isinstance(item, Arrival) else None for item in items]

    def _note_uses(self, arrivals: list[Arrival]) -> None:
        now = timezone.now()
        due: dict[int, tuple[datetime, str]] = {}
        for arrival in arrivals:
            use = self._uses.setdefault(arrival.caller.secret_id, _Use(now - USE_NOTED_EVERY))
            if now - use.noted_at >= USE_NOTED_EVERY:
                due[arrival.caller.secret_id] = arrival.at, arrival.caller.address
                use.noted_at = now
        inbox.note_use(due)


def _with_connection(function: Callable[[], T]) -> T:
    """Return what `function` returns; where the connection was lost, once more on a new one."""
    try:
        return function()
    except (InterfaceError, OperationalError):
        connection.close()
        return function()
