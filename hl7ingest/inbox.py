"""Keep messages durably: one transaction for all that came at once. Source: decisions, before.

Here a message meets the records for the first time: it must be meant for a record that exists,
or that an accepted message is going to start, or that it may start itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction

from hl7ingest.arrival import (
    Arrival,
    Kept,
    Refused,
    ambiguous,
    email_taken,
    no_identifier,
    no_patient,
    other_patients_point,
)
from hl7ingest.hl7v2 import Hl7Error, Location
from hl7ingest.hl7v2.errors import Condition, missing
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
from records.changes import UpdatePatient
from records.models import PatientEmail, PatientTeam

Answer = Kept | Hl7Error | NotAuthorised
PointKey = tuple[int, str, str]  # controller, kind, external id
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


@dataclass(slots=True)
class _Known:
    """What the database says about a batch, read at once, and added to as the batch is kept."""

    receipts: dict[bytes, Kept]
    patients: dict[tuple[int, str], uuid.UUID]
    expected: dict[tuple[int, str], Expected]
    emails: dict[str, uuid.UUID]
    teams: dict[uuid.UUID, set[int]]
    points: dict[PointKey, points.Owner]
    waiting: dict[PointKey, uuid.UUID]
    new: list[tuple[Arrival, uuid.UUID]] = field(default_factory=list)
    new_expected: list[Expected] = field(default_factory=list)


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
                patient_id = _judge(arrival, known)
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


def _read(arrivals: Sequence[Arrival]) -> _Known:
    identifiers = [one for arrival in arrivals for one in arrival.identifiers]
    emails = {address for arrival in arrivals for address in _emails(arrival)}
    keys = {one.key for one in identifiers} | {identification.email_key(e) for e in emails}
    wanted = {key for arrival in arrivals if (key := _point_key(arrival))}
    receipts = Receipt.objects.filter(key__in=[arrival.key for arrival in arrivals])
    # What is awaited is read before what is there: a worker that moves it from one to the other
    # meanwhile is then seen in both, never in neither
    expected = {
        (row.type_id, row.value): row
        for row in Expected.objects.filter(value__in={value for _, value in keys})
        if (row.type_id, row.value) in keys
    }
    waiting = _waiting(wanted)
    known = _Known(
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


def _judge(arrival: Arrival, known: _Known) -> uuid.UUID:
    """Return the record that `arrival` is for, or refuse it."""
    if not arrival.identifiers:
        raise no_identifier()
    patient_id, is_expected = _patient(arrival, known)
    if isinstance(arrival.change, UpdatePatient):
        if arrival.authority.creating_team_id:
            known.teams.setdefault(patient_id, set()).add(arrival.authority.creating_team_id)
        for address in arrival.change.patient.emails:
            key = identification.email_key(address)
            expected = known.expected.get(key)
            owner = expected.patient_id if expected else known.emails.get(address, patient_id)
            if owner != patient_id:
                raise email_taken(address)
            if is_expected and expected is None and key[0]:
                _expect(key, patient_id, arrival, known)
    else:
        _check_reach(arrival, known, patient_id, is_expected=is_expected)
        _check_point(arrival, known, patient_id)
    return patient_id


def _patient(arrival: Arrival, known: _Known) -> tuple[uuid.UUID, bool]:
    """Return the one record that the identifiers name, and whether it has yet to be started."""
    found = {known.patients[one.key] for one in arrival.identifiers if one.key in known.patients}
    awaited = {
        known.expected[one.key].patient_id
        for one in arrival.identifiers
        if one.key in known.expected
    }
    if len(found | awaited) > 1:
        raise ambiguous()
    if not found | awaited:
        if not arrival.may_create:
            raise no_patient()
        check_can_create(arrival)
        awaited = {uuid.uuid4()}
    (patient_id,) = found | awaited
    if arrival.may_create:
        for one in arrival.identifiers:
            if (
                one.can_start_a_record
                and one.key not in known.patients
                and one.key not in known.expected
            ):
                _expect(one.key, patient_id, arrival, known)
    return patient_id, not found


def _expect(key: tuple[int, str], patient_id: uuid.UUID, arrival: Arrival, known: _Known) -> None:
    """Note that `arrival` will put an identifier in a record."""
    expected = Expected(
        type_id=key[0],
        value=key[1],
        patient_id=patient_id,
        team_id=arrival.authority.creating_team_id,
    )
    known.expected[key] = expected
    known.new_expected.append(expected)


def check_can_create(arrival: Arrival) -> None:
    """Refuse what lacks the minimum of a new record."""
    if not any(one.can_start_a_record for one in arrival.identifiers):
        raise no_patient()
    patient = arrival.change.patient
    lacking = [
        (name, place)
        for name, place, value in (
            ("surname", (5, 1), patient.family_name),
            ("givenName", (5, 2), patient.given_name),
            ("dateOfBirth", (7, 1), patient.born_on),
        )
        if not value
    ]
    if lacking:
        raise Hl7Error(
            f"Cannot create patient missing these fields: {', '.join(n for n, _ in lacking)}",
            code="cannot-create-patient",
            at=Location("PID", 1, *lacking[0][1]),
            condition=Condition.REQUIRED_FIELD_MISSING,
        )
    if arrival.authority.creating_team_id is None:
        raise Hl7Error(
            "Cannot create patient: no team to create the record in",
            code="no-creating-team",
            condition=Condition.UNKNOWN_KEY,
            hint="The organisation, or the grant, has no default team. Ask its administrator",
        )


def _check_reach(
    arrival: Arrival, known: _Known, patient_id: uuid.UUID, *, is_expected: bool
) -> None:
    """A team's grant reaches that team's patients only, and does not say who the others are."""
    reach = arrival.authority.reach
    if reach is None:
        return
    teams = known.teams.get(patient_id, set())
    if is_expected:
        teams |= {
            expected.team_id
            for one in arrival.identifiers
            if (expected := known.expected.get(one.key)) and expected.team_id
        }
    if not teams & reach:
        raise no_patient()


def _check_point(arrival: Arrival, known: _Known, patient_id: uuid.UUID) -> None:
    """Refuse a data point of another patient or owner, and a new one that lacks something."""
    change, key = arrival.change, _point_key(arrival)
    assert key is not None
    assert not isinstance(change, UpdatePatient)
    owner = known.points.get(key)
    owning_patient = owner.patient_id if owner else known.waiting.get(key, patient_id)
    if owning_patient != patient_id:
        raise other_patients_point(change.place)
    if owner and not points.may_amend(
        owner.partner_id,
        arrival.authority.partner_id,
        customers_too=arrival.authority.amends_customer_data,
    ):
        raise NotAuthorised("data point of another sender", arrival.authority.controller.id)
    if owner is None and key not in known.waiting:
        for place, name in change.lacking:
            raise missing(Location.parse(place), name)
    known.waiting[key] = patient_id


def _write(known: _Known) -> list[InboundMessage]:
    """Put what was accepted in the database, with as many statements for many as for one."""
    if not known.new:
        return []
    messages = [_message(arrival, patient_id) for arrival, patient_id in known.new]
    insert(messages)
    pairs = [(m, arrival) for m, (arrival, _) in zip(messages, known.new, strict=True)]
    insert([MessageBody(message_id=m.pk, raw=a.raw, charset=a.charset) for m, a in pairs])
    insert([Receipt(key=a.key, message_id=m.pk) for m, a in pairs])
    insert(known.new_expected)
    insert([QueueEntry.of(m) for m in messages])
    return messages


def _message(arrival: Arrival, patient_id: uuid.UUID) -> InboundMessage:
    authority, key = arrival.authority, _point_key(arrival)
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


def _emails(arrival: Arrival) -> tuple[str, ...]:
    return arrival.change.patient.emails if isinstance(arrival.change, UpdatePatient) else ()


def _point_key(arrival: Arrival) -> PointKey | None:
    if isinstance(arrival.change, UpdatePatient):
        return None
    return arrival.authority.controller.id, arrival.change.kind, arrival.change.external_id
