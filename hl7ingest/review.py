"""A person decides about held messages, and staff about failed ones.

Decisions follow the data point, forwards and backwards: source hl7-api, soft matching.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateformat import format as date_format

from hl7ingest import process, settle
from hl7ingest.handlers import understand
from hl7ingest.hl7v2 import parse
from hl7ingest.models import (
    Decision,
    HeldMessage,
    InboundMessage,
    Lane,
    MessageBody,
    Outcome,
    QueueEntry,
    lane_of,
)
from hl7ingest.wake import waker
from pkb import audit
from pkb.models import User
from pkb.permissions import administers, is_platform_staff
from records.apply import NotApplicable
from records.changes import Change

Verdict = HeldMessage.Verdict
logger = logging.getLogger(__name__)


def approve(*, held: HeldMessage, by: User, why: str = "") -> None:
    """Apply a held message in its place in the order, and those of the same data point."""
    _decide(held, by, why, approves=True)


def reject(*, held: HeldMessage, by: User, why: str) -> None:
    """Close a held message, and those of the same data point; nothing reaches the record."""
    if not why.strip():
        raise ValidationError("Say why, so that the sender's mistake can be found.")
    _decide(held, by, why, approves=False)


def _decide(held: HeldMessage, by: User, why: str, *, approves: bool) -> None:
    with transaction.atomic():
        _enter_lane(held.patient_id)
        held = HeldMessage.objects.select_for_update().get(pk=held.pk)
        if not administers(by, held.controller_id):
            audit.record("held.refused", held.message, by=by, organisation=held.controller)
            refused = True
        else:
            refused = False
            _settle(held, by, why, approves=approves)
    if refused:
        raise PermissionDenied
    _go_on(held.patient_id)


def _enter_lane(patient_id: uuid.UUID) -> None:
    """Let no worker settle this patient's messages while a person decides about them."""
    Lane.objects.select_for_update().get(pk=lane_of(patient_id))


def _go_on(patient_id: uuid.UUID) -> None:
    """Settle what was decided, at once if no worker is at it; the decision stands either way."""
    try:
        process.drain(only=lane_of(patient_id))
    except DatabaseError as error:
        logger.warning("left to the workers", extra={"raised": type(error).__name__})
    waker.wake()


def _settle(held: HeldMessage, by: User, why: str, *, approves: bool) -> None:
    if held.decided_at is not None:
        raise ValidationError(f"This message is already decided: {decision_of(held)}.")
    rows = [held]
    if held.point_id:
        rows = list(same_point(held).select_for_update())
        Decision.objects.update_or_create(
            controller_id=held.controller_id,
            patient_id=held.patient_id,
            point_kind=held.point_kind,
            point_id=held.point_id,
            defaults={
                "approves": approves,
                "decided_at": timezone.now(),
                "decided_by": by,
                "message_id": held.pk,
            },
        )
    if approves:
        settle.release(rows, Verdict.APPROVED, decided_by=by, why=why.strip())
    else:
        ids = [row.pk for row in rows]
        HeldMessage.objects.filter(pk__in=ids).update(
            verdict=Verdict.REJECTED, decided_at=timezone.now(), decided_by=by, why=why.strip()
        )
        Outcome.objects.filter(pk__in=ids).update(
            state=Outcome.State.REJECTED, reason="rejected-by-person", at=timezone.now()
        )
        settle.forget_expectations([held.patient_id])
    action = "held.approved" if approves else "held.rejected"
    for row in rows:
        audit.record(action, row.message, by=by, organisation=row.controller)


def decision_of(held: HeldMessage) -> str:
    """Return how, by whom and when a held message was decided."""
    assert held.decided_at is not None
    by = f" by {held.decided_by}" if held.decided_by else ""
    when = date_format(timezone.localtime(held.decided_at), "j F Y, H:i")
    return f"{held.get_verdict_display()}{by}, {when}"


def same_point(held: HeldMessage) -> QuerySet[HeldMessage]:
    """Return what one decision decides: the open held messages of the same data point."""
    return HeldMessage.objects.filter(
        controller_id=held.controller_id,
        patient_id=held.patient_id,
        point_kind=held.point_kind,
        point_id=held.point_id,
        decided_at=None,
    ).order_by("message_id")


def retry(*, message: InboundMessage, by: User) -> None:
    """Let the worker try a failed message again."""
    if not is_platform_staff(by):
        raise PermissionDenied
    with transaction.atomic():
        _enter_lane(message.patient_id)
        outcome = Outcome.objects.select_for_update().filter(
            pk=message.pk, state=Outcome.State.FAILED
        )
        if not outcome:
            raise ValidationError("Only a failed message can be tried again.")
        was_approved = HeldMessage.objects.filter(
            pk=message.pk, verdict__in=[Verdict.APPROVED, Verdict.RELEASED]
        ).exists()
        settle.requeue([message.pk], approved=was_approved)
        audit.record("message.retried", message, by=by, organisation=message.controller)
    _go_on(message.patient_id)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What approving would do: the entries of the effect, or why nothing can be done."""

    entries: list[dict[str, Any]]
    impossible: str = ""


def rehearse(message: InboundMessage) -> Rehearsal:
    """Return what applying `message` now would do to the record. Nothing is changed."""
    entry = QueueEntry.of(message, approved=True)
    entry.message = message
    try:
        return Rehearsal(settle.rehearse(entry).entries)
    except NotApplicable as error:
        return Rehearsal([], error.reason)


@transaction.atomic
def read_raw(*, message: InboundMessage, by: User) -> str:
    """Return the message's text, one segment a line; the look is put in the audit trail."""
    if not (is_platform_staff(by) or administers(by, message.controller_id)):
        raise PermissionDenied
    audit.record("message.read", message, by=by, organisation=message.controller)
    return text_of(message)


def change_of(message: InboundMessage) -> Change:
    """Return what the message asks for, read as it was when it was accepted."""
    return understand(parse(text_of(message)).in_zone(ZoneInfo(message.terms["zone"])))


def text_of(message: InboundMessage) -> str:
    """Return the message's text, one segment a line."""
    body = MessageBody.objects.get(pk=message.pk)
    text = bytes(body.raw).decode(body.charset)
    return "\n".join(segment.line for segment in parse(text).segments)
