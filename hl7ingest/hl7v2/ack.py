"""Build the acknowledgement of a message. Source: hl7-api, acknowledgement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hl7ingest.hl7v2.errors import Condition, Hl7Error, Location
from hl7ingest.hl7v2.message import Message

Verdict = Literal["AA", "AR", "AE"]  # accepted; rejected, and the sender can mend it; our fault


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement, ready to send."""

    verdict: Verdict
    text: str


def acknowledge(message: Message, at: datetime, error: Hl7Error | None = None) -> Ack:
    """Answer `message` as of `at`: AA, or what `error` says.

    The same message, moment and error give the same characters. MSH-3, MSH-4 and MSH-10 are
    echoed as they came, in the sender's own delimiters.
    """
    verdict: Verdict = "AA" if error is None else "AE" if _ours(error) else "AR"
    marks, msh = message.delimiters, message.msh
    now = _escape(at.strftime("%Y%m%d%H%M%S%z"), message)
    trigger = marks.component.join(
        _escape(part, message) for part in ("ACK", msh.get(9, 2)) if part
    )
    us, sender = ["HL7API", "PKB"], [msh.raw(3), msh.raw(4)]
    control_id = _escape("PKB-", message) + now
    segments = [
        ["MSH", marks.msh_2, *us, *sender, now, "", trigger, control_id, "P", "2.4"],
        ["MSA", verdict, msh.raw(10), _escape(error.answer, message) if error else ""],
    ]
    if error is not None:
        segments.append(_err(error, message))
    return Ack(
        verdict, "".join(marks.field.join(fields).rstrip(marks.field) + "\r" for fields in segments)
    )


def unexpected(error_id: str) -> Hl7Error:
    """Return our own fault, told to the sender by an id that stands in our log."""
    return Hl7Error(
        f"Unexpected error while processing: {error_id}",
        code="internal-error",
        condition=Condition.INTERNAL,
        hint="The fault is ours. Quote the id; do not send the message again unchanged",
    )


def _ours(error: Hl7Error) -> bool:
    return error.condition is Condition.INTERNAL


def _err(error: Hl7Error, message: Message) -> list[str]:
    """Return ERR: location and code as in 2.4 (ERR-1) and as in 2.5 (ERR-2, 3, 4, 7, 8)."""
    marks = message.delimiters
    c, s = marks.component, marks.subcomponent
    place = error.at or Location("")
    number, label = str(error.condition.number), _escape(error.condition.label, message)
    where = [place.segment, str(place.occurrence), str(place.field or "")]
    old = c.join([*where, s.join([number, label, "HL70357"])]) if place.segment else ""
    new = c.join([*where, "1", str(place.component or "")] if place.field else where[:2]).rstrip(c)
    coded = c.join([number, label, "HL70357"])
    hint = _escape(error.hint, message)
    return ["ERR", old, new, coded, "E", "", "", _escape(error.code, message), hint]


def _escape(text: str, message: Message) -> str:
    """Return `text` for a field: one line, whatever a sender put into it."""
    marks = message.delimiters
    letters = {
        marks.field: "F",
        marks.component: "S",
        marks.repetition: "R",
        marks.subcomponent: "T",
        marks.escape: "E",
    }
    return "".join(
        f"{marks.escape}{letters[c]}{marks.escape}" if c in letters else _printable(c) for c in text
    )


def _printable(character: str) -> str:
    return character if character.isprintable() else " "
