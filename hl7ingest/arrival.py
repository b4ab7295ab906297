"""What passes between the steps before the answer: plain values, no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hl7ingest.hl7v2 import Hl7Error, Message
from hl7ingest.hl7v2.errors import Condition, Location
from partners.authentication import Caller
from partners.authorisation import Authority
from records.changes import Change
from records.identification import KnownIdentifier


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that is understood and authorised, and must now be meant for a record."""

    at: datetime
    caller: Caller
    authority: Authority
    message: Message
    change: Change
    identifiers: tuple[KnownIdentifier, ...]
    ignored: tuple[str, ...]
    raw: bytes = field(repr=False)
    charset: str
    key: bytes
    may_create: bool

    @property
    def terms(self) -> dict[str, Any]:
        """What the configuration said at acceptance; the worker judges by it."""
        return {
            "soft_match": sorted(self.authority.controller.soft_match_fields),
            "checks_status": self.authority.controller.checks_status,
            "amends_customer_data": self.authority.amends_customer_data,
            "zone": self.authority.zone.key,
            "creating_team": self.authority.creating_team_id,
            "teams": sorted(self.authority.teams),
            "may_create": self.may_create,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that is durable: which, since when, and whether it was before this call."""

    message_id: int
    at: datetime
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal to be put on file."""

    at: datetime
    code: str
    answer: str
    rule: str = ""
    location: str = ""
    credential_id: int | None = None
    partner_id: int | None = None
    sender_id: int | None = None
    controller_id: int | None = None
    address: str = ""
    control_id: str = ""
    type: str = ""
    error_id: str = ""


class NotKept(Exception):
    """The message could not be made durable.

    `retryable`: the database was out of reach, so there is no answer and the sender sends again.
    Else the fault is ours, and sending again would not mend it.
    """

    def __init__(self, *, retryable: bool, error_id: str = "") -> None:
        super().__init__(retryable, error_id)
        self.retryable = retryable
        self.error_id = error_id


def no_patient() -> Hl7Error:
    """Nobody has these identifiers, as far as this sender may know."""
    return Hl7Error(
        "No patient found for PID segment",
        code="no-patient",
        at=Location("PID", 1, 3),
        condition=Condition.UNKNOWN_KEY,
        hint="Send an A28 for this patient first, or mend the identifiers",
    )


def no_identifier() -> Hl7Error:
    """None of the identifiers is of a kind we know."""
    return Hl7Error(
        "Lookup single patient must be provided with at least one identifier",
        code="no-identifier",
        at=Location("PID", 1, 3),
        condition=Condition.REQUIRED_FIELD_MISSING,
        hint="Send PID-3.1, PID-3.4 and PID-3.5 of an identifier type agreed with us",
    )


def ambiguous() -> Hl7Error:
    """The identifiers are of different records."""
    return Hl7Error(
        "Ambiguous patient IDs provided",
        code="ambiguous-identifiers",
        at=Location("PID", 1, 3),
        condition=Condition.UNKNOWN_KEY,
        hint="The identifiers belong to different records. Send only those of this patient",
    )


def email_taken(address: str) -> Hl7Error:
    """The e-mail address stands in another record."""
    return Hl7Error(
        f"Patient email address [{address}] already active in PKB",
        code="email-in-use",
        at=Location("PID", 1, 13),
        condition=Condition.DUPLICATE_KEY,
        hint="Send the message without the e-mail address, or mend it",
    )


def other_patients_point(place: str) -> Hl7Error:
    """The data point id names something in another patient's record."""
    return Hl7Error(
        f"{place} names a data point of another patient",
        code="data-point-of-another-patient",
        at=Location.parse(place),
        condition=Condition.UNKNOWN_KEY,
        hint="Use an id of your own, such as a UUID, or mend the patient's identifiers",
        prefixed=True,
    )
