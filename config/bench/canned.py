"""A server that reads a message and answers AA without looking: what the client itself can do."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_BODY = b"MSH|^~\\&|HL7API|PKB|Bench||20260101120000||ACK|1|P|2.4\rMSA|AA|1\r"
_HEADERS = [(b"content-length", b"%d" % len(_BODY)), (b"content-type", b"application/hl7-v2")]


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
