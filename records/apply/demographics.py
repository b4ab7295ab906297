"""Who the patient is: names, identifiers, addresses. Source: hl7-api, A28 and A31; summary."""

from __future__ import annotations

import uuid
from datetime import datetime

from records.apply.context import Context, NotApplicable
from records.changes import PatientDetails, UpdatePatient
from records.effects import Effect, facts
from records.identification import KnownIdentifier
from records.models import Patient, PatientEmail, PatientIdentifier, PatientTeam

# Columns that the message gives under the same name; blank is left alone, "" clears
_TEXTS = (
    "family_name",
    "given_name",
    "middle_names",
    "title",
    "address_line_1",
    "address_line_2",
    "city",
    "state",
    "postcode",
    "country",
    "home_phone",
    "mobile_phone",
    "work_phone",
    "language",
)


def update_patient(change: UpdatePatient, context: Context, effect: Effect) -> None:
    """Change what the message gives, unless the record knows something newer.

    Identifiers and e-mail addresses are added whatever the age of the message: they are never
    overwritten by it but for a national number, which keeps to the order of MSH-7.
    """
    patient = context.patient
    for address in change.patient.emails:
        if context.workspace.email_owner(address) not in (None, patient.pk):
            raise NotApplicable("email-in-use")
    held = patient.entered_at, patient.message_id or 0
    is_newer = (change.sent_at, context.message_id) >= held
    if patient.message_id != context.message_id and is_newer:  # else it has just been started
        before = facts(patient)
        _fill(patient, change.patient)
        patient.entered_at = change.sent_at
        patient.source_id, patient.message_id = context.source_id, context.message_id
        patient.updated_at = context.workspace.now
        context.workspace.change(patient)
        effect.changed(patient, before)
    _check_identifiers(context)
    for identifier in context.identifiers:
        _put_identifier(identifier, context, effect, may_replace=is_newer)
    for address in change.patient.emails:
        _add_email(address, context, effect)


def start_record(
    details: PatientDetails, sent_at: datetime, context: Context, effect: Effect
) -> None:
    """Start the record that the message was accepted for."""
    if not (details.family_name and details.given_name and details.born_on):
        raise NotApplicable("cannot-create-patient")
    if context.creating_team is None:
        raise NotApplicable("no-creating-team")
    now = context.workspace.now
    patient = Patient(
        id=context.patient_id,
        source_id=context.source_id,
        origin_id=context.source_id,
        message_id=context.message_id,
        entered_at=sent_at,
        created_at=now,
        updated_at=now,
    )
    _fill(patient, details)
    effect.created(context.workspace.add(patient))
    for identifier in context.identifiers:
        _put_identifier(identifier, context, effect, may_replace=True)
    link_team(context, effect)


def link_team(context: Context, effect: Effect) -> None:
    """Make the patient known to the team, unless it is."""
    if context.creating_team is None:
        return
    team_id, organisation_id = context.creating_team
    if any(link.team_id == team_id for link in context.workspace.teams(context.patient)):
        return
    link = PatientTeam(
        patient_id=context.patient_id,
        team_id=team_id,
        organisation_id=organisation_id,
        source_id=context.source_id,
        message_id=context.message_id,
        created_at=context.workspace.now,
    )
    effect.created(context.workspace.add(link))


def _fill(patient: Patient, details: PatientDetails) -> None:
    for name in _TEXTS:
        value = getattr(details, name)
        if value is not None:
            setattr(patient, name, value)
    if details.born_on is not None:
        patient.born_on = details.born_on
    if details.sex is not None:
        patient.sex = details.sex
    if details.is_deceased is not None:
        patient.is_deceased = details.is_deceased
    if details.is_deceased is False or details.died_at_cleared:
        patient.died_at, patient.died_precision = None, ""
    if details.died_at is not None and details.is_deceased is not False:
        patient.died_at = details.died_at.at
        patient.died_precision = details.died_at.precision


def _check_identifiers(context: Context) -> None:
    """Refuse identifiers of which the record has none: it has given them up since acceptance."""
    held = {(one.type_id, one.value) for one in context.workspace.identifiers(context.patient)}
    sent = {one.key for one in context.identifiers if one.can_start_a_record}
    if sent and held and not sent & held:
        raise NotApplicable("identifiers-changed")


def _put_identifier(
    sent: KnownIdentifier, context: Context, effect: Effect, *, may_replace: bool
) -> None:
    """Add an identifier; a national one has one value, which a newer message replaces."""
    if not sent.can_start_a_record:
        return
    for held in context.workspace.identifiers(context.patient):
        if held.type_id != sent.type.id:
            continue
        if held.value == sent.value or sent.is_national:
            is_better = held.value != sent.value or (sent.status and sent.status != held.status)
            if sent.is_national and may_replace and is_better:
                before = facts(held)
                held.value, held.status = sent.value, sent.status
                held.source_id, held.message_id = context.source_id, context.message_id
                context.workspace.change(held)
                effect.changed(held, before)
            return
    identifier = PatientIdentifier(
        id=uuid.uuid4(),
        patient_id=context.patient_id,
        type_id=sent.type.id,
        value=sent.value,
        status=sent.status,
        is_national=sent.is_national,
        source_id=context.source_id,
        message_id=context.message_id,
        created_at=context.workspace.now,
    )
    effect.created(context.workspace.add(identifier))


def _add_email(address: str, context: Context, effect: Effect) -> None:
    """Add an address; the first of a record is its primary one. Known ones always stay."""
    held = context.workspace.emails(context.patient)
    if any(email.address == address for email in held):
        return
    email = PatientEmail(
        patient_id=context.patient_id,
        address=address,
        is_primary=not held,
        source_id=context.source_id,
        message_id=context.message_id,
        created_at=context.workspace.now,
    )
    effect.created(context.workspace.add(email))
