"""A held message and the record side by side, each value with what differs in it marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher

from django.utils.dateformat import format as format_date

from hl7ingest.models import HeldMessage
from records.admin.patients import grouped
from records.changes import Change, PatientDetails
from records.identification import VERIFIED, KnownIdentifier, is_nhs_number, recognise
from records.matching import normal
from records.models import IdentifierType, Patient, PatientIdentifier
from records.models.patient import Sex

SAME, DIFFERS, NOT_SENT, NOT_HELD = "same", "differs", "not-sent", "not-held"
MARKED_WHOLE = 0.5  # of the characters in common, below which marking single ones says nothing
_VERDICTS = {
    SAME: ("=", "agrees"),
    DIFFERS: ("≠", "differs"),
    NOT_SENT: ("·", "not sent"),
    NOT_HELD: ("+", "not in the record"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters that the other side has too, or has not."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of one side, in pieces, and a remark on it."""

    pieces: tuple[Piece, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is compared: both sides, the verdict, and the reason in words."""

    label: str
    sent: Cell
    held: Cell
    verdict: str
    reason: str = ""

    @property
    def sign(self) -> str:
        """The verdict as a shape."""
        return _VERDICTS[self.verdict][0]

    @property
    def words(self) -> str:
        """The verdict in words."""
        return _VERDICTS[self.verdict][1]


def compare(held: HeldMessage, change: Change, patient: Patient | None) -> list[Line]:
    """Return every line that the page shows. Where there is no record its side is empty."""
    reasons = {
        "given_name" if one["field"] == "initial" else one["field"]: one["reason"]
        for one in held.reasons
    }
    details = change.patient
    lines = _identifiers(held, details, patient, reasons.get("identifier", ""))
    for label, name in (
        ("Family name", "family_name"),
        ("Given name", "given_name"),
        ("Middle names", "middle_names"),
    ):
        kept = getattr(patient, name) if patient else ""
        lines.append(_text(label, getattr(details, name), kept, reasons.get(name, "")))
    lines.append(_born(details.born_on, patient, reasons.get("date_of_birth", "")))
    sexes = dict(Sex.choices)
    lines += [
        _text(
            "Sex",
            sexes[details.sex] if details.sex else None,
            sexes[patient.sex] if patient else "",
            reasons.get("sex", ""),
        ),
        _text(
            "Postcode",
            details.postcode,
            patient.postcode if patient else "",
            reasons.get("postcode", ""),
        ),
        _text("Address", _address(details), (_address(patient) if patient else "") or "", ""),
    ]
    return [line for line in lines if line.sent.pieces or line.held.pieces]


def _identifiers(
    held: HeldMessage, details: PatientDetails, patient: Patient | None, reason: str
) -> list[Line]:
    """Compare the kinds of identifier that the message brings, and the national ones."""
    message = held.message
    sent, _ = recognise(
        details.identifiers, message.controller_id, frozenset(message.terms["teams"])
    )
    rows = PatientIdentifier.objects.filter(patient=patient) if patient else []
    kept = [r for r in rows if r.is_national or r.type_id in {one.type.id for one in sent}]
    wanted = list(dict.fromkeys([one.type.id for one in sent] + [row.type_id for row in kept]))
    types = IdentifierType.objects.in_bulk(wanted)
    lines = []
    for type_id in wanted:
        ours = [row for row in kept if row.type_id == type_id]
        theirs = [one for one in sent if one.type.id == type_id]
        lines.append(_identifier(types[type_id], theirs, ours, reason))
    return lines


def _identifier(
    kind: IdentifierType,
    theirs: list[KnownIdentifier],
    ours: list[PatientIdentifier],
    reason: str,
) -> Line:
    known = {row.value for row in ours}
    agrees = bool(theirs) and {one.value for one in theirs} <= known
    verdict = SAME if agrees else NOT_SENT if not theirs else DIFFERS if ours else NOT_HELD
    sent = ", ".join(grouped(one.value) for one in theirs)
    held = ", ".join(grouped(row.value) for row in ours)
    is_national = kind.scope == IdentifierType.Scope.NATIONAL
    marked = _marked(sent, held) if verdict == DIFFERS else ((Piece(sent),), (Piece(held),))
    return Line(
        str(kind),
        Cell(marked[0] if sent else (), _number_note(kind, theirs)),
        Cell(marked[1] if held else (), _number_note(kind, ours)),
        verdict,
        reason if is_national or not theirs else "",
    )


def _number_note(
    kind: IdentifierType, rows: Iterable[KnownIdentifier] | Iterable[PatientIdentifier]
) -> str:
    """Return the result of the check digit, and the status."""
    notes = []
    for row in rows:
        if kind.check_digit == IdentifierType.CheckDigit.NHS:
            passes = is_nhs_number(row.value)
            notes.append("check digit correct" if passes else "check digit wrong")
        if row.status:
            verified = "verified" if row.status == VERIFIED else "not verified"
            notes.append(f"status {row.status}, {verified}")
        elif kind.scope == IdentifierType.Scope.NATIONAL:
            notes.append("no status given")
    return "; ".join(notes)


def _born(sent: date | None, patient: Patient | None, reason: str) -> Line:
    held = patient.born_on if patient else None
    texts = [f"{day:%d/%m/%Y}" if day else "" for day in (sent, held)]
    line = _text("Date of birth", texts[0] or None, texts[1], reason)
    return Line(
        line.label,
        Cell(line.sent.pieces, format_date(sent, "j F Y") if sent else ""),
        Cell(line.held.pieces, format_date(held, "j F Y") if held else ""),
        line.verdict,
        reason,
    )


def _text(label: str, sent: str | None, held: str, reason: str) -> Line:
    if sent is None:
        return Line(label, Cell(), Cell((Piece(held),) if held else ()), NOT_SENT, reason)
    if normal(sent) == normal(held):
        note = "" if sent == held else "but for case, accents, spacing or punctuation"
        return Line(label, Cell((Piece(sent),), note), Cell((Piece(held),)), SAME, reason)
    if not held:
        return Line(label, Cell((Piece(sent),)), Cell(), NOT_HELD, reason)
    theirs, ours = _marked(sent, held)
    return Line(label, Cell(theirs, "" if sent else "cleared"), Cell(ours), DIFFERS, reason)


def _marked(sent: str, held: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Return both texts in pieces, those marked that the other has not in that place.

    Values of one length are compared place by place, as people compare dates and numbers; values
    with little in common are marked whole.
    """
    matcher = SequenceMatcher(None, sent, held, autojunk=False)
    if matcher.ratio() < MARKED_WHOLE:
        return tuple(Piece(t, differs=True) for t in [sent] if t), (Piece(held, differs=True),)
    if len(sent) == len(held):
        pairs = [(a, b, a != b) for a, b in zip(sent, held, strict=True)]
        return _runs((a, d) for a, _, d in pairs), _runs((b, d) for _, b, d in pairs)
    sides: tuple[list[Piece], list[Piece]] = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        for side, text in zip(sides, (sent[i1:i2], held[j1:j2]), strict=True):
            if text:
                side.append(Piece(text, tag != "equal"))
    return tuple(sides[0]), tuple(sides[1])


def _runs(characters: Iterable[tuple[str, bool]]) -> tuple[Piece, ...]:
    found: list[Piece] = []
    for character, differs in characters:
        if found and found[-1].differs == differs:
            found[-1] = Piece(found[-1].text + character, differs)
        else:
            found.append(Piece(character, differs))
    return tuple(found)


def _address(of: PatientDetails | Patient) -> str | None:
    parts = (of.address_line_1, of.address_line_2, of.city, of.state, of.country)
    return ", ".join(part for part in parts if part) or None
