"""The HL7 API as the web server sees it: an ASGI application in front of Django's own.

Bodies are read as they arrive, so a slow client holds a few kilobytes and no thread; messages
that arrive together share a transaction. Everything that is not HL7 goes to Django, whose own async
view would cost several times as much a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from hl7ingest import http
from hl7ingest.arrival import Arrival, NotKept, Refused
from hl7ingest.gather import Gatherer
from hl7ingest.hl7v2 import NOTHING, acknowledge
from hl7ingest.hl7v2.ack import unexpected
from hl7ingest.http import Head, Response
from hl7ingest.receive import Answered, Refusing, close_message, open_message
from partners.authentication import Caller
from partners.registry import registry
from pkb.configuration import clock
from records.identification import types

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)
LARGE = 128 * 1024  # bytes from which a message is read on a thread, so that others go on
LONGEST_UPLOAD = 120.0  # seconds that a whole body may take
BODIES_AT_ONCE = 512 * 1024 * 1024  # bytes of bodies in memory, a quarter a credential
OTHER_BODY = 3 * 1024 * 1024  # bytes of a body that is not for the HL7 API
SAME_REFUSAL_EVERY = 10.0  # seconds


class _Gone(Exception):
    """The client went away before its message was whole."""


class _TooSlow(Exception):
    """The client stopped sending."""


class _TooLarge(Exception):
    """The body is larger than it may be."""


class Door:
    """Answers the HL7 API, and hands everything else to `behind`."""

    def __init__(self, behind: Application) -> None:
        self._behind = behind
        self._gatherer = Gatherer()
        self._refreshing: asyncio.Task[None] | None = None
        self._held: Counter[int] = Counter()  # bytes of bodies in memory, by credential
        self._filed: dict[tuple[str, int | None, str], float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] in http.PATHS:
            await self._http(_head(scope), receive, send)
        else:
            await self._behind(scope, _limited(receive), send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return

    async def _http(self, head: Head, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(head, receive)
        except _Gone:
            return
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [
                    (name.encode(), value.encode("latin-1"))
                    for name, value in (
                        {"content-length": str(len(response.body))} | response.headers
                    ).items()
                ],
            }
        )
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, head: Head, receive: Receive) -> Response:
        try:
            await self._refresh()
            caller = http.screen(head)
            if isinstance(caller, Response):
                return self._turned_away(caller)
            self._gatherer.note_use(caller)
            body = await self._read(receive, caller.credential.id)
            try:
                return await self._message(head, caller, body)
            finally:
                self._release(caller.credential.id, len(body))
        except _TooLarge:
            return http.too_large()
        except _TooSlow:
            return http.too_slow()
        except (NotKept, TimeoutError, DatabaseError, InterfaceError) as error:
            logger.warning("no answer", extra={"raised": type(error).__name__})
            return http.unavailable(head)
        except _Gone:
            raise
        except Exception:
            error_id = uuid.uuid4().hex
            logger.exception("request failed", extra={"error_id": error_id})
            ack = acknowledge(NOTHING, timezone.now(), unexpected(error_id))
            return http.wrap(head, ack, "utf-8")

    async def _message(self, head: Head, caller: Caller, body: bytes) -> Response:
        if head.is_soap and len(body) >= LARGE:
            unwrapped = await asyncio.to_thread(http.unwrap, head, body)
        else:
            unwrapped = http.unwrap(head, body)
        if isinstance(unwrapped, Response):
            return unwrapped
        raw, charset = unwrapped
        if len(raw) < LARGE:
            opened = open_message(raw, caller, charset)
        else:
            opened = await asyncio.to_thread(open_message, raw, caller, charset)
        if isinstance(opened, Refusing):
            await self._keep(opened.refused)
            answered = Answered(opened.ack, opened.charset)
        else:
            answered = await self._close(opened)
            if answered.refused:
                await self._keep(answered.refused)
        return http.wrap(head, answered.ack, answered.charset, replayed=answered.replayed)

    async def _close(self, arrival: Arrival) -> Answered:
        try:
            kept = await self._keep(arrival)
        except NotKept as error:
            if error.retryable:
                raise
            return close_message(arrival, unexpected(error.error_id), error.error_id)
        assert kept is not None
        return close_message(arrival, kept)

    async def _keep(self, item: Arrival | Refused) -> Any:
        """Wait until `item` is durable, and no longer than a sender would."""
        return await asyncio.wait_for(
            asyncio.shield(self._gatherer.keep(item)), settings.HL7_ANSWER_SECONDS
        )

    async def _read(self, receive: Receive, credential: int) -> bytes:
        """Return the body, or raise where it is too large, stops arriving or breaks off."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST_UPLOAD
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                try:
                    idle = min(settings.HL7_IDLE_SECONDS, deadline - loop.time())
                    async with asyncio.timeout(idle):
                        event = await receive()
                except TimeoutError:
                    raise _TooSlow from None
                if event["type"] == "http.disconnect":
                    raise _Gone
                chunk = event.get("body", b"")
                size += len(chunk)
                self._held[credential] += len(chunk)
                if size > settings.HL7_MAX_BYTES:
                    raise _TooLarge
                held = self._held
                if held[credential] > BODIES_AT_ONCE / 4 or held.total() > BODIES_AT_ONCE:
                    raise NotKept(retryable=True)
                chunks.append(chunk)
                if not event.get("more_body"):
                    return b"".join(chunks)
        except (_TooSlow, _Gone, _TooLarge, NotKept):
            self._release(credential, size)
            raise

    def _release(self, credential: int, size: int) -> None:
        self._held[credential] -= size
        if self._held[credential] <= 0:
            del self._held[credential]

    async def _refresh(self) -> None:
        """Have the configuration looked at again where it is due; all that wait share one look."""
        if not clock.is_due:
            return
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._gatherer.in_thread(_look))
        await asyncio.wait_for(asyncio.shield(self._refreshing), settings.HL7_ANSWER_SECONDS)

    def _turned_away(self, response: Response) -> Response:
        """File why a call was turned away; a flood of the same is filed once in ten seconds."""
        if refused := response.refused:
            kind = refused.rule, refused.credential_id, refused.address
            now = time.monotonic()
            if now - self._filed.get(kind, float("-inf")) > SAME_REFUSAL_EVERY:
                if len(self._filed) > 10_000:
                    self._filed.clear()
                self._filed[kind] = now
                with contextlib.suppress(NotKept):
                    self._gatherer.keep(refused).add_done_callback(lambda done: done.exception())
        return response


def _limited(receive: Receive) -> Receive:
    """Return `receive` for Django: a body too large, or that stops arriving, breaks off."""
    size, is_whole = 0, False

    async def limited() -> MutableMapping[str, Any]:
        nonlocal size, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout(settings.HL7_IDLE_SECONDS):
                event = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        size += len(event.get("body", b""))
        is_whole = not event.get("more_body")
        return event if size <= OTHER_BODY else {"type": "http.disconnect"}

    return limited


def _look() -> None:
    registry.get()
    types.get()


def _head(scope: Scope) -> Head:
    client = scope.get("client")
    return Head(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        peer=client[0] if client else "",
        secure=scope.get("scheme") == "https",
    )
