"""Is a message meant for a record, and may its sender touch what it names? No database.

What the database says about a batch is read before, into `Known`; what is accepted is added to
it, so that the next message of the batch is judged as if it came later.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from hl7ingest.arrival import (
    Arrival,
    Kept,
    ambiguous,
    email_taken,
    no_identifier,
    no_patient,
    other_patients_point,
)
from hl7ingest.hl7v2 import Hl7Error, Location
from hl7ingest.hl7v2.errors import Condition, missing
from hl7ingest.models import Expected
from partners.authorisation import NotAuthorised
from partners.registry import registry
from records import identification, points
from records.changes import UpdatePatient
from records.points import PointKey

Key = tuple[int, str]


@dataclass(slots=True)
class Known:
    """What the database says about a batch, read at once, and added to as the batch is kept."""

    receipts: dict[bytes, Kept]
    patients: dict[Key, uuid.UUID]
    expected: dict[Key, Expected]
    emails: dict[str, uuid.UUID]
    teams: dict[uuid.UUID, set[int]]
    points: dict[PointKey, points.Owner]
    waiting: dict[PointKey, uuid.UUID]
    new: list[tuple[Arrival, uuid.UUID]] = field(default_factory=list)
    new_expected: list[Expected] = field(default_factory=list)


def judge(arrival: Arrival, known: Known) -> uuid.UUID:
    """Return the record that `arrival` is for, or refuse it and leave `known` as it was."""
    if not arrival.identifiers:
        raise no_identifier()
    patient_id, is_expected = _patient(arrival, known)
    expects = _new_identifiers(arrival, known)
    _check_reach(arrival, known, patient_id, is_expected=is_expected)
    if isinstance(arrival.change, UpdatePatient):
        expects += _check_emails(arrival, known, patient_id, is_expected=is_expected)
    else:
        _check_point(arrival, known, patient_id)
    _accept(arrival, known, patient_id, expects)
    return patient_id


def _accept(arrival: Arrival, known: Known, patient_id: uuid.UUID, expects: list[Key]) -> None:
    """Let the next message of the batch see what this one will bring."""
    team_id = arrival.authority.creating_team_id
    for type_id, value in expects:
        expected = Expected(type_id=type_id, value=value, patient_id=patient_id, team_id=team_id)
        known.expected[type_id, value] = expected
        known.new_expected.append(expected)
    if team_id and arrival.may_create:
        known.teams.setdefault(patient_id, set()).add(team_id)
    if key := point_key(arrival):
        known.waiting[key] = patient_id


def _new_identifiers(arrival: Arrival, known: Known) -> list[Key]:
    """Return the identifiers that the message will put in the record."""
    return [
        one.key
        for one in arrival.identifiers
        if arrival.may_create
        and one.can_start_a_record
        and one.key not in known.patients
        and one.key not in known.expected
    ]


def _check_emails(
    arrival: Arrival, known: Known, patient_id: uuid.UUID, *, is_expected: bool
) -> list[Key]:
    """Refuse an e-mail address of another record; return those that a new record will have."""
    expects = []
    for address in arrival.change.patient.emails:
        key = identification.email_key(address)
        expected = known.expected.get(key)
        owner = expected.patient_id if expected else known.emails.get(address, patient_id)
        if owner != patient_id:
            raise email_taken(address)
        if is_expected and expected is None and key[0]:
            expects.append(key)
    return expects


def _patient(arrival: Arrival, known: Known) -> tuple[uuid.UUID, bool]:
    """Return the one record that the identifiers name, and whether it has yet to be started."""
    found = {known.patients[one.key] for one in arrival.identifiers if one.key in known.patients}
    awaited = {
        known.expected[one.key].patient_id
        for one in arrival.identifiers
        if one.key in known.expected
    }
    if len(found | awaited) > 1:
        # A team's partner is not told that somebody else exists
        raise ambiguous() if arrival.authority.reach is None else no_patient()
    if not found | awaited:
        if not arrival.may_create:
            raise no_patient()
        check_can_create(arrival)
        awaited = {uuid.uuid4()}
    (patient_id,) = found | awaited
    return patient_id, not found


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
    arrival: Arrival, known: Known, patient_id: uuid.UUID, *, is_expected: bool
) -> None:
    """A team's grant reaches that team's patients only, and does not say who the others are.

    Demographics may bring a person to the team who is new to its organisation.
    """
    reach = arrival.authority.reach
    if reach is None:
        return
    teams = known.teams.get(patient_id, set()) | {
        expected.team_id
        for one in arrival.identifiers
        if is_expected and (expected := known.expected.get(one.key)) and expected.team_id
    }
    if teams & reach:
        return
    entries = registry.get().teams
    ours = {arrival.authority.connecting.id, arrival.authority.controller.id}
    is_known_to_us = any(entries[team].organisation_id in ours for team in teams if team in entries)
    if is_known_to_us or not isinstance(arrival.change, UpdatePatient):
        raise no_patient()


def _check_point(arrival: Arrival, known: Known, patient_id: uuid.UUID) -> None:
    """Refuse a data point of another patient or owner, and a new one that lacks something."""
    change, key = arrival.change, point_key(arrival)
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


def emails_of(arrival: Arrival) -> tuple[str, ...]:
    """Return the e-mail addresses that the message may add."""
    return arrival.change.patient.emails if isinstance(arrival.change, UpdatePatient) else ()


def point_key(arrival: Arrival) -> PointKey | None:
    """Return the data point that the message is about; None for demographics."""
    if isinstance(arrival.change, UpdatePatient):
        return None
    return arrival.authority.controller.id, arrival.change.kind, arrival.change.external_id
