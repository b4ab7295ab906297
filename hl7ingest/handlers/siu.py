"""SIU: appointments. Source: hl7-api, SIU appointments; ZAP."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from hl7ingest.handlers.header import sent_at
from hl7ingest.handlers.pid import patient_details
from hl7ingest.hl7v2 import NULL, Location, Message, Segment
from hl7ingest.hl7v2.errors import missing
from records.changes import AppointmentMode, Instant, Participant, PutAppointment

_GROUPS = {"RGS", "AIS", "AIG", "AIL", "AIP"}


def book_appointment(message: Message) -> PutAppointment:
    """S12: create, or replace entirely."""
    change = _appointment(message, AppointmentMode.REPLACE, "ACTIVE")
    for place, name in change.lacking:
        raise missing(Location.parse(place), name)
    return change


def update_appointment(message: Message) -> PutAppointment:
    """S13, S14: change what is given, and make the appointment active again."""
    return _appointment(message, AppointmentMode.UPDATE, "ACTIVE")


def cancel_appointment(message: Message) -> PutAppointment:
    """S15: cancelled; nothing else changes."""
    return _appointment(message, AppointmentMode.STATUS, "CANCELLED")


def note_absence(message: Message) -> PutAppointment:
    """S26: the patient did not attend; nothing else changes."""
    return _appointment(message, AppointmentMode.STATUS, "DNA")


def _appointment(message: Message, mode: AppointmentMode, status: str) -> PutAppointment:
    sch, pv1 = message.require_one("SCH"), message.find("PV1")
    starts, ends = sch.moment(11, 4, "start"), sch.moment(11, 5, "end")
    location = pv1.given(3, 9)
    for segment, field, component, value, name in (
        (sch, 11, 4, sch.get(11, 4), "start"),
        (pv1, 3, 9, pv1.get(3, 9), "location"),
    ):
        if value == NULL:
            raise segment.wrong(field, component, name, 'must not be cleared with ""')
    if starts and ends and ends.at < starts.at:
        raise sch.wrong(11, 5, "end", "must not be before the start")
    return PutAppointment(
        patient=patient_details(message),
        sent_at=sent_at(message),
        external_id=sch.require(1, 1, "placer ID", limit=200),
        mode=mode,
        status=status,
        subject=sch.given(7, 2),
        type_code=sch.given(8, 1),
        type_system=sch.given(8, 3),
        starts=Instant(starts.at, starts.precision) if starts else None,
        ends=Instant(ends.at, ends.precision) if ends else None,
        ends_cleared=sch.get(11, 5) == NULL,
        description=_description(message),
        location=location,
        specialty=pv1.given(10, 1),
        participants=_participants(message),
        management_url=_management_url(message),
        lacking=tuple(_lacking(message)),
    )


def _lacking(message: Message) -> Iterator[tuple[str, str]]:
    """Yield what a new appointment must have and this message does not."""
    if not message.find("SCH").get(11, 4):
        yield "SCH-11.4", "start"
    if not message.find("PV1").get(3, 9):
        yield "PV1-3.9", "location"


def _description(message: Message) -> str | None:
    """Read NTE-3 of the notes about the appointment itself, before any resource group."""
    notes = []
    for segment in message.segments:
        if segment.name in _GROUPS:
            break
        if segment.name == "NTE" and segment.text(3).strip():
            notes.append(segment.text(3).strip())
    if notes == [NULL]:
        return ""
    return "\n".join(notes) or None


def _participants(message: Message) -> tuple[Participant, ...] | None:
    """Read AIP; None where the message has no resource group at all (they are left alone)."""
    if not message.has("RGS") and not message.has("AIP"):
        return None
    return tuple(person for aip in message.all("AIP") for person in _people(aip))


def _people(aip: Segment) -> Iterator[Participant]:
    for repetition in aip.repetitions(3):
        parts = [*aip.components(repetition), "", "", "", "", "", ""]
        family, given, middle, title = parts[1], parts[2], parts[3], parts[5]
        if family or given:
            yield Participant(family, given, middle, title, aip.get(4, 2) or aip.get(4, 1))


def _management_url(message: Message) -> str | None:
    zap = message.find("ZAP")
    url = zap.given(1, 1, limit=2000)
    if url and not _is_https(url):
        raise zap.wrong(1, 1, "management URL", "must be an https:// address")
    return url


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and url.isprintable()
