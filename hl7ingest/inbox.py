"""Keep messages durably: one transaction for all that came at once. Source: decisions, before.

Here a message meets the records for the first time: it must be meant for a record that exists,
or that an accepted message is going to start, or that it may start itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from django.db import IntegrityError, transaction

from hl7ingest.arrival import Arrival, Kept, Refused
from hl7ingest.hl7v2 import Hl7Error
from hl7ingest.judge import Known, emails_of, judge, point_key
from hl7ingest.models import (
    Expected,
    HeldMessage,
    InboundMessage,
    MessageBody,
    QueueEntry,
    Receipt,
    Refusal,
)
from partners.authorisation import NotAuthorised
from partners.models import Secret
from pkb.bulk import insert
from records import identification, matching, points
from records.models import PatientEmail, PatientIdentifier, PatientTeam
from records.points import PointKey

Answer = Kept | Hl7Error | NotAuthorised
_RACES = 3  # times that another process may put the same identifier or receipt in first


def keep(arrivals: Sequence[Arrival]) -> list[Answer]:
    """Make the arrivals durable, and return what each is to be answered, in order.

    A refusal of one does not touch the others. Two processes that keep the same thing at once
    meet in a unique constraint; the loser looks again.
    """
    for _ in range(_RACES):
        try:
            with transaction.atomic():
                return _keep(arrivals)
        except IntegrityError:
            continue
    if len(arrivals) == 1:
        with transaction.atomic():
            return _keep(arrivals)
    return [answer for arrival in arrivals for answer in keep([arrival])]


def _keep(arrivals: Sequence[Arrival]) -> list[Answer]:
    known = _read(arrivals)
    answers: list[Answer | int] = []  # an int: the place in known.new
    places: dict[bytes, int] = {}
    for arrival in arrivals:
        if kept := known.receipts.get(arrival.key):
            answers.append(kept)
        elif arrival.key in places:
            answers.append(places[arrival.key])
        else:
            try:
                patient_id = judge(arrival, known)
            except (Hl7Error, NotAuthorised) as refusal:
                answers.append(refusal)
            else:
                places[arrival.key] = len(known.new)
                answers.append(len(known.new))
                known.new.append((arrival, patient_id))
    messages = _write(known)
    found: list[Answer] = []
    told: set[int] = set()
    for answer in answers:
        if isinstance(answer, int):
            message = messages[answer]
            found.append(Kept(message.pk, message.received_at, replayed=answer in told))
            told.add(answer)
        else:
            found.append(answer)
    return found


def _read(arrivals: Sequence[Arrival]) -> Known:
    identifiers = [one for arrival in arrivals for one in arrival.identifiers]
    emails = {address for arrival in arrivals for address in emails_of(arrival)}
    keys = {one.key for one in identifiers} | {identification.email_key(e) for e in emails}
    wanted = {key for arrival in arrivals if (key := point_key(arrival))}
    receipts = Receipt.objects.filter(key__in=[arrival.key for arrival in arrivals])
    # What is awaited is read before what is there: a worker that moves it from one to the other
    # meanwhile is then seen in both, never in neither
    expected = {
        (row.type_id, row.value): row
        for row in Expected.objects.filter(
            type_id__in={type_id for type_id, _ in keys}, value__in={value for _, value in keys}
        )
        if (row.type_id, row.value) in keys
    }
    waiting = _waiting(wanted)
    known = Known(
        receipts={
            bytes(key): Kept(message_id, at, replayed=True)
            for key, message_id, at in receipts.values_list(
                "key", "message_id", "message__received_at"
            )
        },
        patients=matching.locate(identifiers),
        expected=expected,
        emails=dict(
            PatientEmail.objects.filter(address__in=emails).values_list("address", "patient_id")
        )
        if emails
        else {},
        teams={},
        points=points.owners(wanted),
        waiting=waiting,
    )
    if any(arrival.authority.reach is not None for arrival in arrivals):
        rows = PatientTeam.objects.filter(patient__in=set(known.patients.values()))
        joining = QueueEntry.objects.filter(
            patient_id__in=set(known.patients.values()), point_kind=""
        )
        for patient_id, team_id in [
            *joining.values_list("patient_id", "message__terms__creating_team"),
            *rows.values_list("patient_id", "team_id"),
        ]:
            known.teams.setdefault(patient_id, set()).add(team_id)
    return known


def _waiting(wanted: set[PointKey]) -> dict[PointKey, uuid.UUID]:
    """Return whose the data points are that accepted messages have yet to put in a record."""
    if not wanted:
        return {}
    ids = {key[2] for key in wanted}
    fields = ("controller_id", "point_kind", "point_id", "patient_id")
    queued = QueueEntry.objects.filter(point_id__in=ids).order_by()
    held = HeldMessage.objects.filter(point_id__in=ids, decided_at=None).order_by()
    # One statement, so that none moves from one to the other between two
    rows = queued.values_list(*fields).union(held.values_list(*fields), all=True)
    return {
        (controller, kind, point_id): patient_id
        for controller, kind, point_id, patient_id in rows
        if (controller, kind, point_id) in wanted
    }


def _write(known: Known) -> list[InboundMessage]:
    """Put what was accepted in the database, with as many statements for many as for one."""
    if not known.new:
        return []
    messages = [_message(arrival, patient_id) for arrival, patient_id in known.new]
    insert(messages)
    pairs = [(m, arrival) for m, (arrival, _) in zip(messages, known.new, strict=True)]
    insert([MessageBody(message_id=m.pk, raw=a.raw, charset=a.charset) for m, a in pairs])
    insert([Receipt(key=a.key, message_id=m.pk) for m, a in pairs])
    insert(known.new_expected)
    _check_still_expected(known.new_expected)
    insert([QueueEntry.of(m) for m in messages])
    return messages


def _check_still_expected(rows: Sequence[Expected]) -> None:
    """Look again where another process has put such an identifier in a record meanwhile.

    Had it only been accepted there, the constraint would have stopped us.
    """
    wanted = {(row.type_id, row.value): row.patient_id for row in rows}
    if not wanted:
        return
    found = PatientIdentifier.objects.filter(
        type_id__in={type_id for type_id, _ in wanted}, value__in={value for _, value in wanted}
    )
    for type_id, value, patient_id in found.values_list("type_id", "value", "patient_id"):
        if wanted.get((type_id, value), patient_id) != patient_id:
            raise IntegrityError
    addresses = {value for _, value in wanted if "@" in value}
    emails = PatientEmail.objects.filter(address__in=addresses)
    if addresses and emails.exclude(patient__in=set(wanted.values())).exists():
        raise IntegrityError


def _message(arrival: Arrival, patient_id: uuid.UUID) -> InboundMessage:
    authority, key = arrival.authority, point_key(arrival)
    return InboundMessage(
        received_at=arrival.at,
        credential_id=arrival.caller.credential.id,
        address=arrival.caller.address or None,
        partner_id=authority.partner_id,
        connecting_id=authority.connecting.id,
        controller_id=authority.controller.id,
        team_id=authority.team_id,
        grant_id=authority.grant_id,
        control_id=arrival.message.control_id,
        type=arrival.message.type[:15],
        sent_at=arrival.change.sent_at,
        patient_id=patient_id,
        point_kind=key[1] if key else "",
        point_id=key[2] if key else "",
        size=len(arrival.raw),
        terms=arrival.terms,
        ignored=list(arrival.ignored),
    )


def file_refusals(refusals: Sequence[Refused]) -> None:
    """Put refusals on file."""
    Refusal.objects.bulk_create(
        Refusal(**(asdict(refused) | {"address": refused.address or None})) for refused in refusals
    )


def note_use(uses: dict[int, tuple[datetime, str]]) -> None:
    """Note when, and from where, secrets were last used. Not a change of the configuration."""
    for secret_id, (at, address) in uses.items():
        Secret.objects.filter(pk=secret_id).update(last_used_at=at, last_used_from=address or None)
