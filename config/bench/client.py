"""The load: keep-alive connections, each of which sends its next message when it has its answer.

Plain sockets and one selector: an HTTP library costs more than the server that is measured.
"""

from __future__ import annotations

import gc
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

PATIENCE = 30.0  # seconds for the last answers
ACCEPTED = b"MSA|AA|"


class Broken(Exception):
    """The server closed a connection."""


@dataclass(slots=True)
class Load:
    """What came of sending for a while."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds, of those accepted
    other: Counter[str] = field(default_factory=Counter)  # answers that were not AA

    @property
    def rate(self) -> float:
        """Messages answered with AA a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    answer: bytes = b""


def send(requests: list[bytes], port: int, connections: int, seconds: float) -> Load:
    """Send `requests` for `seconds`, or until there are no more; wait for every answer."""
    load, line = Load(), iter(requests)
    open_ones = [_Connection(_connect(port)) for _ in range(connections)]
    gc.collect()
    gc.disable()
    try:
        with selectors.DefaultSelector() as selector:
            _run(load, line, open_ones, selector, seconds)
    finally:
        gc.enable()
        for connection in open_ones:
            connection.socket.close()
    return load


def _run(
    load: Load,
    line: Iterator[bytes],
    open_ones: list[_Connection],
    selector: selectors.BaseSelector,
    seconds: float,
) -> None:
    clock = time.perf_counter
    start = now = clock()
    end, busy = start + seconds, 0
    for connection in open_ones:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        busy += _next(connection, line, now)
    while busy:
        if not (events := selector.select(PATIENCE)):
            raise Broken(f"{busy} messages had no answer within {PATIENCE:.0f} seconds.")
        for key, _ in events:
            connection = key.data
            if not _is_whole(connection):
                continue
            now = clock()
            _note(load, connection, now)
            if now >= end or not _next(connection, line, now):
                busy -= 1
    load.seconds = clock() - start


def _next(connection: _Connection, line: Iterator[bytes], now: float) -> bool:
    """Send the next message, if there is one."""
    request = next(line, None)
    if request is None:
        return False
    connection.sent_at, connection.answer = now, b""
    connection.socket.sendall(request)
    return True


def _is_whole(connection: _Connection) -> bool:
    """Read what has come; return whether it is the whole answer."""
    chunk = connection.socket.recv(65536)
    if not chunk:
        raise Broken("The server closed a connection.")
    connection.answer += chunk
    head, found, body = connection.answer.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= content_length(head)


def content_length(head: bytes) -> int:
    """Return the length of the body that an HTTP head announces."""
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def _note(load: Load, connection: _Connection, now: float) -> None:
    if ACCEPTED in connection.answer:
        load.latencies.append(now - connection.sent_at)
        return
    status = connection.answer.split(b"\r\n", 1)[0].decode("latin-1")
    segments = connection.answer.decode("latin-1").replace("\n", "\r").split("\r")
    told = [segment for segment in segments if segment.startswith(("MSA|", "ERR|"))]
    load.other[" ".join([status, *(t[:6] if t.startswith("MSA") else t[:80] for t in told)])] += 1


def _connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
