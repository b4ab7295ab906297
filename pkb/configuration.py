"""The configuration as every process remembers it, at most half a second old.

The door asks who may send for every message, and must not pay for asking. So each process keeps
a snapshot, looks at one counter twice a second, and reads anew when it has moved: a revoked
grant or secret stops within one second in every process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from pkb.models import ConfigurationVersion

T = TypeVar("T")
MAX_AGE = 0.5  # seconds between two looks at the counter


class Clock:
    """When the counter was last looked at, and what it said. One for each process."""

    def __init__(self) -> None:
        self.version = -1
        self._looked_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def is_due(self) -> bool:
        """Whether the counter must be looked at again before anything is decided."""
        return time.monotonic() - self._looked_at > MAX_AGE

    def look(self) -> int:
        """Read the counter if it is due, and return it.

        An event loop must not wait for the database: there it is what it last was, and `refresh`
        is run on a thread first.
        """
        if self.is_due and not _in_event_loop():
            with self._lock:
                if self.is_due:
                    now = time.monotonic()
                    self.version = (
                        ConfigurationVersion.objects.filter(pk=1)
                        .values_list("version", flat=True)
                        .first()
                        or 0
                    )
                    self._looked_at = now
        return self.version

    def forget(self) -> None:
        """Look again at the next question."""
        self._looked_at = float("-inf")


clock = Clock()


class Remembered(Generic[T]):
    """Something read from the configuration, read again when the configuration has changed."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._held: tuple[int, T] | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """Return it as it stood at most `MAX_AGE` ago."""
        version = clock.look()
        held = self._held
        if held is None or (held[0] != version and not _in_event_loop()):
            with self._lock:
                held = self._held
                if held is None or held[0] != version:
                    held = (version, self._read())
                    self._held = held
        return held[1]

    def forget(self) -> None:
        """Read again at the next question."""
        self._held = None


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
