"""Appointments: book, change, cancel, note an absence. Source: hl7-api, SIU appointments."""

from __future__ import annotations

from dataclasses import asdict

from records.apply.context import Context, NotApplicable
from records.changes import AppointmentMode, PutAppointment
from records.effects import Effect, facts
from records.models import Appointment

_TEXTS = (
    "subject",
    "type_code",
    "type_system",
    "description",
    "location",
    "specialty",
    "management_url",
)
DEFAULT_SUBJECT = "Appointment"


def put_appointment(change: PutAppointment, context: Context, effect: Effect) -> None:
    """Create the appointment, or do with the known one what the trigger event says."""
    appointment = context.find(Appointment, change.external_id)
    if appointment is None:
        _create(change, context, effect)
        return
    before = facts(appointment)
    appointment.status = change.status
    if change.mode is AppointmentMode.REPLACE:
        _clear(appointment)
    if change.mode is not AppointmentMode.STATUS:
        _fill(appointment, change)
    context.stamp(appointment, change.sent_at)
    context.workspace.change(appointment)
    effect.changed(appointment, before)


def _create(change: PutAppointment, context: Context, effect: Effect) -> None:
    if change.lacking:
        raise NotApplicable("unknown-appointment")
    now = context.workspace.now
    appointment = Appointment(
        patient=context.patient,
        controller_id=context.controller_id,
        external_id=change.external_id,
        origin_id=context.source_id,
        status=change.status,
        created_at=now,
    )
    _fill(appointment, change)
    context.stamp(appointment, change.sent_at)
    effect.created(context.workspace.add(appointment))


def _clear(appointment: Appointment) -> None:
    """Set everything that the message may leave out to what it is in a new appointment."""
    for name in _TEXTS:
        setattr(appointment, name, "")
    appointment.subject = DEFAULT_SUBJECT
    appointment.ends_at, appointment.ends_precision = None, ""
    appointment.participants = []


def _fill(appointment: Appointment, change: PutAppointment) -> None:
    for name in _TEXTS:
        value = getattr(change, name)
        if value is not None:
            setattr(appointment, name, value)
    appointment.subject = appointment.subject or DEFAULT_SUBJECT
    if change.starts is not None:
        appointment.starts_at = change.starts.at
        appointment.starts_precision = change.starts.precision
    if change.ends is not None:
        appointment.ends_at = change.ends.at
        appointment.ends_precision = change.ends.precision
    elif change.ends_cleared:
        appointment.ends_at, appointment.ends_precision = None, ""
    if change.participants is not None:
        appointment.participants = [asdict(person) for person in change.participants]
