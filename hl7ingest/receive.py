"""The first half: before the answer. Decode, parse, authorise, understand; then keep; then ACK.

`open_message` does everything that needs no waiting, `close_message` makes the answer of what
the inbox said. Between them the message is made durable: alone (`receive`), or together with
all that came at the same time (`hl7ingest.gather`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hl7ingest import inbox
from hl7ingest.arrival import Arrival, Kept, Refused, ambiguous
from hl7ingest.handlers import handler_of
from hl7ingest.handlers.header import check
from hl7ingest.hl7v2 import NOTHING, Ack, Hl7Error, Message, acknowledge, decode, parse
from hl7ingest.hl7v2.ack import unexpected
from hl7ingest.hl7v2.errors import Condition, missing, wrong_value
from hl7ingest.wake import waker
from partners.aliases import BadAliasPair
from partners.authentication import Caller
from partners.authorisation import Authority, NotAuthorised, authorise
from partners.registry import registry
from records import identification, matching
from records.changes import Change, UpdatePatient

logger = logging.getLogger(__name__)
MOST_IGNORED = 20  # kinds of identifier that the account of a message names
AHEAD = timedelta(days=1)  # of our clock, a sender's may be
_FIRST_LINE = re.compile(r"[\s\ufeff\x0b\x1c]*[^\r\n]*")
_TYPE = re.compile(r"[A-Z0-9]{1,6}\^[A-Z0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Refusing:
    """A message refused before it could reach the inbox."""

    ack: Ack
    charset: str
    refused: Refused


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a message, in which character set, and whether it is given again."""

    ack: Ack
    charset: str
    replayed: bool = False
    refused: Refused | None = None


@dataclass(slots=True)
class _Call:
    """A message on its way to an answer, and what is known of it so far."""

    at: datetime
    caller: Caller
    message: Message = NOTHING
    charset: str = "utf-8"
    authority: Authority | None = None

    def refuse(
        self, cause: Hl7Error | NotAuthorised, error_id: str = ""
    ) -> tuple[Ack, str, Refused]:
        """Return the refusing ACK, its character set, and what is put on file."""
        error = _as_hl7(cause, self.message)
        ack = acknowledge(self.message, self.at, error)
        credential, rule = self.caller.credential, ""
        controller_id = self.authority.controller.id if self.authority else None
        if isinstance(cause, NotAuthorised):
            rule, controller_id = cause.rule, cause.controller_id
        refused = Refused(
            at=self.at,
            code=error.code,
            answer=ack.verdict,
            rule=rule,
            location=str(error.at or "")[:30],
            credential_id=credential.id,
            partner_id=credential.partner_id,
            sender_id=credential.organisation_id,
            controller_id=controller_id or credential.organisation_id,
            address=self.caller.address,
            control_id=self.message.control_id[:199],
            type=self.message.type if _TYPE.fullmatch(self.message.type) else "",
            error_id=error_id,
        )
        return ack, self.charset, refused


def receive(raw: bytes, caller: Caller, charset: str = "") -> Answered:
    """Answer one message, kept on this thread's own connection."""
    opened = open_message(raw, caller, charset)
    if isinstance(opened, Refusing):
        inbox.file_refusals([opened.refused])
        return Answered(opened.ack, opened.charset, refused=opened.refused)
    answered = close_message(opened, inbox.keep([opened])[0])
    transaction.on_commit(waker.wake)
    if answered.refused:
        inbox.file_refusals([answered.refused])
    return answered


def open_message(raw: bytes, caller: Caller, charset: str = "") -> Arrival | Refusing:
    """Understand and authorise `raw`, or refuse it. Touches no message or record."""
    call = _Call(timezone.now(), caller)
    try:
        text, call.charset = decode(raw, charset)
        try:
            call.message = parse(text)
        except Hl7Error:
            call.message = _header(text)
            raise
        return _arrive(call, raw)
    except (Hl7Error, NotAuthorised) as error:
        return Refusing(*call.refuse(error))
    except Exception:
        error_id = uuid.uuid4().hex
        logger.exception("message not understood", extra={"error_id": error_id})
        return Refusing(*call.refuse(unexpected(error_id), error_id))


def close_message(arrival: Arrival, answer: inbox.Answer, error_id: str = "") -> Answered:
    """Return the ACK for what the inbox said; the same for the same bytes."""
    if isinstance(answer, Kept):
        ack = acknowledge(arrival.message, answer.at)
        return Answered(ack, arrival.charset, answer.replayed)
    call = _Call(arrival.at, arrival.caller, arrival.message, arrival.charset, arrival.authority)
    ack, charset, refused = call.refuse(answer, error_id)
    return Answered(ack, charset, refused=refused)


def _header(text: str) -> Message:
    """Read the header alone, so that a broken message can be answered by its MSH-10."""
    try:
        return parse(_FIRST_LINE.match(text)[0])  # type: ignore[index]
    except Hl7Error:
        return NOTHING


def _arrive(call: _Call, raw: bytes) -> Arrival:
    check(call.message)
    _check_processing_id(call.message)
    handler = handler_of(call.message)
    call.authority = authority = _authorise(call, handler.family)
    message = call.message = call.message.in_zone(authority.zone)
    change = handler.understand(message)
    _check_clock(message, change, call.at)
    identifiers, ignored = _identifiers(message, change, authority)
    _check_soft_match_fields(message, change, authority)
    return Arrival(
        at=call.at,
        caller=call.caller,
        authority=authority,
        message=message,
        change=change,
        identifiers=identifiers,
        ignored=ignored,
        raw=raw,
        charset=call.charset,
        key=hashlib.sha256(f"{call.caller.credential.sender}\n".encode() + raw).digest(),
        may_create=_may_create(change, identifiers, authority),
    )


def _check_processing_id(message: Message) -> None:
    allowed = "PTD" if settings.SANDBOX else "P"
    value = message.msh.get(11)
    if value not in list(allowed):
        raise wrong_value(
            message.msh.at(11),
            "processing ID",
            "must be " + " or ".join(allowed),
            value,
            condition=Condition.UNSUPPORTED_PROCESSING_ID,
        )


def _check_clock(message: Message, change: Change, now: datetime) -> None:
    """Refuse what lies ahead: a message of next year would outrank all that come until then."""
    if change.sent_at > now + AHEAD:
        must = "must not be more than a day ahead"
        raise wrong_value(message.msh.at(7), "message timestamp", must, message.msh.get(7))
    born = change.patient.born_on
    if isinstance(change, UpdatePatient) and born and born > (now + AHEAD).date():
        pid = message.find("PID")
        raise wrong_value(pid.at(7), "date of birth", "must not be ahead", pid.get(7))


def _authorise(call: _Call, family: str) -> Authority:
    message, caller = call.message, call.caller
    facility = message.msh.get(4)
    if caller.credential.partner_id is not None and not facility:
        raise missing(message.msh.at(4), "sending facility")
    try:
        return authorise(registry.get(), caller, facility, family, timezone.localdate(call.at))
    except BadAliasPair:
        must = "must be connecting-alias{data-controller-alias}"
        raise wrong_value(message.msh.at(4), "sending facility", must, facility) from None


def _identifiers(
    message: Message, change: Change, authority: Authority
) -> tuple[tuple[identification.KnownIdentifier, ...], tuple[str, ...]]:
    try:
        known, ignored = identification.recognise(
            change.patient.identifiers, authority.controller.id, authority.teams
        )
    except identification.BadIdentifier as error:
        pid, number = message.find("PID"), int(error.identifier.place[-1])
        raise wrong_value(
            pid.at(number), error.type_name, "must be valid", error.identifier.value
        ) from None
    national = [one.type.id for one in known if one.is_national]
    if len(national) > len(set(national)):
        raise ambiguous()  # a record has one number of a kind
    kinds = {f"{one.authority[:60]}/{one.type_code[:60]}" for one in ignored}
    return tuple(known), tuple(sorted(kinds)[:MOST_IGNORED])


def _check_soft_match_fields(message: Message, change: Change, authority: Authority) -> None:
    """A field that the Customer compares is mandatory in every data message."""
    if isinstance(change, UpdatePatient):
        return
    chosen = authority.controller.soft_match_fields
    for field in matching.not_given(change.patient, chosen):
        raise missing(message.find("PID").at(*matching.PLACES[field]), matching.LABELS[field])


def _may_create(
    change: Change,
    identifiers: tuple[identification.KnownIdentifier, ...],
    authority: Authority,
) -> bool:
    if isinstance(change, UpdatePatient):
        return True
    return authority.controller.auto_create and any(
        one.is_national and one.status == identification.VERIFIED for one in identifiers
    )


def _as_hl7(error: Hl7Error | NotAuthorised, message: Message) -> Hl7Error:
    """Return what the sender reads: one text for every rule of authorisation."""
    if isinstance(error, Hl7Error):
        return error
    return Hl7Error(
        f"Not authorised to send for [{message.msh.get(4)[:100]}]",
        code="not-authorised",
        at=message.msh.at(4),
        condition=Condition.UNKNOWN_KEY,
        hint="Ask the Customer named in MSH-4 to check what it has granted",
    )
