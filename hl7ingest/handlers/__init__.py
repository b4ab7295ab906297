"""Which function understands which message. To support a message, add a line here.

A handler is pure: a message in, a frozen change out, or `Hl7Error` with the field at fault.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hl7ingest.handlers import adt_demographics, header, mdm, siu
from hl7ingest.hl7v2 import Hl7Error, Location, Message
from hl7ingest.hl7v2.errors import Condition
from records.changes import Change, Family


@dataclass(frozen=True, slots=True)
class Handler:
    """What a grant calls the kind of message, and the function that understands it."""

    family: Family
    understand: Callable[[Message], Change]


HANDLERS: Mapping[str, Handler] = {
    "ADT^A28": Handler(Family.DEMOGRAPHICS, adt_demographics.update_patient),
    "ADT^A31": Handler(Family.DEMOGRAPHICS, adt_demographics.update_patient),
    "SIU^S12": Handler(Family.APPOINTMENTS, siu.book_appointment),
    "SIU^S13": Handler(Family.APPOINTMENTS, siu.update_appointment),
    "SIU^S14": Handler(Family.APPOINTMENTS, siu.update_appointment),
    "SIU^S15": Handler(Family.APPOINTMENTS, siu.cancel_appointment),
    "SIU^S26": Handler(Family.APPOINTMENTS, siu.note_absence),
    "MDM^T02": Handler(Family.DOCUMENTS, mdm.put_document),
    "MDM^T11": Handler(Family.DOCUMENTS, mdm.withdraw_document),
}


def handler_of(message: Message) -> Handler:
    """Return who understands messages of this type, or refuse it."""
    if not (handler := HANDLERS.get(message.type)):
        raise Hl7Error(
            "Unknown messageType received from HL7",
            code="unknown-message-type",
            at=Location("MSH", 1, 9, 1),
            condition=Condition.UNSUPPORTED_MESSAGE_TYPE,
            hint="Send one of " + " ".join(HANDLERS),
        )
    return handler


def understand(message: Message) -> Change:
    """Return what `message` asks for, or refuse it."""
    header.check(message)
    return handler_of(message).understand(message)
