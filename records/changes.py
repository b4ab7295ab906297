"""What a message asks of a record: frozen descriptions, no database.

`None` says that the sender left a value out (what is stored stays), an empty string that the
sender cleared it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar


class Family(StrEnum):
    """The families of messages that a grant may allow one by one."""

    DEMOGRAPHICS = "demographics"
    APPOINTMENTS = "appointments"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier as sent: its value, assigning authority, type code, and {status:NN}."""

    value: str
    authority: str
    type_code: str
    status: str = ""
    place: str = "PID-3"


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in UTC with the precision it was given with (`year` … `millisecond`)."""

    at: datetime
    precision: str


@dataclass(frozen=True, slots=True)
class PatientDetails:
    """Whom a message is about, as its sender described them."""

    identifiers: tuple[Identifier, ...]
    family_name: str | None = None
    given_name: str | None = None
    middle_names: str | None = None
    title: str | None = None
    born_on: date | None = None
    sex: str | None = None
    address_line_1: str | None = None
    address_line_2: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str | None = None
    home_phone: str | None = None
    mobile_phone: str | None = None
    work_phone: str | None = None
    emails: tuple[str, ...] = ()
    language: str | None = None
    died_at: Instant | None = None
    died_at_cleared: bool = False
    is_deceased: bool | None = None


@dataclass(frozen=True, slots=True)
class UpdatePatient:
    """Keep these demographics, and start the record if there is none."""

    patient: PatientDetails
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who takes part in an appointment, by name only."""

    family_name: str
    given_name: str
    middle_names: str
    title: str
    role: str


class AppointmentMode(StrEnum):
    """What is done to an appointment that exists; where there is none it is created."""

    REPLACE = "replace"  # S12
    UPDATE = "update"  # S13, S14
    STATUS = "status"  # S15, S26


@dataclass(frozen=True, slots=True)
class PutAppointment:
    """Create or change the appointment with this `external_id` (SCH-1.1)."""

    kind: ClassVar[str] = "appointment"
    place: ClassVar[str] = "SCH-1.1"
    patient: PatientDetails
    sent_at: datetime
    external_id: str
    mode: AppointmentMode
    status: str
    subject: str | None = None
    type_code: str | None = None
    type_system: str | None = None
    starts: Instant | None = None
    ends: Instant | None = None
    ends_cleared: bool = False
    description: str | None = None
    location: str | None = None
    specialty: str | None = None
    participants: tuple[Participant, ...] | None = None
    management_url: str | None = None
    # the places of what only an existing appointment can do without
    lacking: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a message. `content` is the decoded bytes."""

    media_type: str
    title: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of a document that is text; `media_type` is text/plain."""

    title: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PutDocument:
    """Create the document with this `external_id` (TXA-12.1), or replace it in full."""

    kind: ClassVar[str] = "document"
    place: ClassVar[str] = "TXA-12.1"
    lacking: ClassVar[tuple[tuple[str, str], ...]] = ()
    patient: PatientDetails
    sent_at: datetime
    external_id: str
    type_code: str
    written: Instant
    author: str
    file_name: str
    patient_class: str
    specialty: str
    delay_days: int
    planned_postal_date: date | None
    parts: tuple[TextPart | Attachment, ...]


@dataclass(frozen=True, slots=True)
class WithdrawDocument:
    """Take back the document with this `external_id`; nothing happens where there is none."""

    kind: ClassVar[str] = "document"
    place: ClassVar[str] = "TXA-12.1"
    lacking: ClassVar[tuple[tuple[str, str], ...]] = ()
    patient: PatientDetails
    sent_at: datetime
    external_id: str


PointChange = PutAppointment | PutDocument | WithdrawDocument
Change = UpdatePatient | PointChange
