"""The two ways in over HTTP, as plain functions: a request, an answer. Source: decisions, ways in.

`screen` decides from the headers alone, so that nobody unknown uploads anything; `unwrap` takes
the message out of the body; `wrap` puts the answer into one.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from django.conf import settings
from django.utils import timezone

from hl7ingest import soap
from hl7ingest.arrival import Refused
from hl7ingest.hl7v2 import Ack
from partners.authentication import (
    AddressNotAllowed,
    Caller,
    NotAuthenticated,
    authenticate,
    client_address,
)
from partners.registry import registry

logger = logging.getLogger(__name__)

ER7 = "/hl7"
SOAP = "/services/hl7"
PATHS = frozenset({ER7, ER7 + "/", SOAP, SOAP + "/"})
_ER7_TYPES = {
    "",
    "application/hl7-v2",
    "application/hl7-v2+er7",
    "x-application/hl7-v2+er7",
    "text/plain",
    "application/x-www-form-urlencoded",  # what curl says; read as bytes, never as a form
}
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
RETRY_AFTER = "5"


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""
    secure: bool = False

    def get(self, name: str) -> str:
        """Return a header's value; empty when absent."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return a header's values."""
        return [value for key, value in self.headers if key == name]

    @property
    def is_soap(self) -> bool:
        """Whether the message comes in an envelope."""
        return self.path.rstrip("/") == SOAP

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case, without parameters."""
        return self.get("content-type").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The character set that the Content-Type names; empty when it names none."""
        found = _CHARSET.search(self.get("content-type"))
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    refused: Refused | None = None


def screen(head: Head) -> Caller | Response:
    """Return who is calling, or the answer that turns the request away."""
    if head.method == "GET" and head.is_soap and head.query.lower().startswith("wsdl"):
        scheme = "https" if head.secure or settings.HTTPS else "http"
        address = f"{scheme}://{head.get('host') or 'localhost'}{SOAP}"
        return Response(200, soap.wsdl(address), {"content-type": soap.CONTENT_TYPE})
    if head.method != "POST":
        return _text(405, "Send the message by POST.", allow="POST")
    allowed = {"text/xml"} if head.is_soap else _ER7_TYPES
    if head.media_type not in allowed or head.get("content-encoding") not in {"", "identity"}:
        return _text(415, f"Send {' or '.join(sorted(filter(None, allowed)))}, not compressed.")
    length = head.get("content-length")
    if length and (
        not length.isdecimal() or len(length) > 12 or int(length) > settings.HL7_MAX_BYTES
    ):
        return too_large()
    return _authenticate(head)


def _authenticate(head: Head) -> Caller | Response:
    address = client_address(head.peer, head.all("x-forwarded-for"))
    authorizations = head.all("authorization")
    now = timezone.now()
    try:
        return authenticate(
            registry.get(), authorizations[0] if len(authorizations) == 1 else "", address, now
        )
    except NotAuthenticated as error:
        forbidden = isinstance(error, AddressNotAllowed)
        credential = error.credential
        logger.warning(
            "call refused",
            extra={"rule": error.rule, "credential": credential.id if credential else None},
        )
        refused = Refused(
            at=now,
            code="address-not-allowed" if forbidden else "not-authenticated",
            answer="403" if forbidden else "401",
            rule=error.rule,
            credential_id=credential.id if credential else None,
            partner_id=credential.partner_id if credential else None,
            sender_id=credential.organisation_id if credential else None,
            controller_id=credential.organisation_id if credential else None,
            address=str(address or ""),
        )
        if forbidden:
            return _text(403, "This request is not allowed.", refused)
        challenge = 'Basic realm="HL7", charset="UTF-8"'
        return _text(401, "Authenticate with HTTP Basic.", refused, www_authenticate=challenge)


def unwrap(head: Head, body: bytes) -> tuple[bytes, str] | Response:
    """Return the message's bytes and the character set that the transport names for them."""
    if not head.is_soap:
        return body, head.charset
    try:
        return soap.read(body).encode(), "utf-8"
    except (soap.BadEnvelope, UnicodeEncodeError) as error:
        reason = str(error) if isinstance(error, soap.BadEnvelope) else "The text is not Unicode"
        return Response(500, soap.fault("Client", reason), {"content-type": soap.CONTENT_TYPE})


def wrap(head: Head, ack: Ack, charset: str, *, replayed: bool = False) -> Response:
    """Return the HTTP answer that carries an acknowledgement: 200, AA, AR and AE alike."""
    extra = {"idempotent-replayed": "true"} if replayed else {}
    if head.is_soap:
        return Response(200, soap.answer(ack.text), {"content-type": soap.CONTENT_TYPE} | extra)
    codec = "utf-8" if charset == "utf-8-sig" else charset
    return Response(
        200,
        ack.text.encode(codec, "replace"),
        {"content-type": f"application/hl7-v2; charset={codec}"} | extra,
    )


def too_large() -> Response:
    """The body is larger than a message may be."""
    return _text(413, f"A message may have {settings.HL7_MAX_BYTES} bytes.", connection="close")


def too_slow() -> Response:
    """The body stopped arriving."""
    return _text(408, "The body did not arrive in time.", connection="close")


def unavailable(head: Head) -> Response:
    """The message could not be made durable: there is no acknowledgement, the sender retries."""
    reason = "The message could not be kept. Send it again."
    if head.is_soap:
        headers = {"content-type": soap.CONTENT_TYPE, "retry-after": RETRY_AFTER}
        return Response(503, soap.fault("Server", reason), headers)
    return _text(503, reason, retry_after=RETRY_AFTER)


def _text(status: int, text: str, refused: Refused | None = None, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status, f"{text}\n".encode(), {"content-type": "text/plain; charset=utf-8"} | named, refused
    )
