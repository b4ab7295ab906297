"""Wake the workers: once for all that is waiting, never once a message.

The first message wakes at once; those that come within the next moment share one more wake-up at
its end, so that the last of a burst does not wait for the sweep. A wake-up that is lost (the
broker is away) costs the time until the sweep, never a message.
"""

import logging
import threading
import time

from celery import current_app

logger = logging.getLogger(__name__)
AT_MOST_EVERY = 0.2  # seconds; a busy worker looks again by itself
DRAIN = "hl7ingest.tasks.drain"


class Waker:
    """Sends wake-ups from a thread of its own: no request waits for the broker."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Have the workers look soon. Returns at once."""
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, daemon=True, name="waker")
                    self._thread.start()

    def _run(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            try:
                current_app.send_task(DRAIN, expires=60, retry=False)
            except Exception as error:  # noqa: BLE001  (whatever a transport raises)
                logger.warning("wake-up not sent", extra={"raised": type(error).__name__})
                time.sleep(1)
            time.sleep(AT_MOST_EVERY)


waker = Waker()
