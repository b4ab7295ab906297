"""Is there such a patient, and is it the one the sender means?

`locate` asks by identifier, before the sender is answered. `soft_match` compares everything else,
afterwards, and its doubts are for a person.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from records.changes import PatientDetails
from records.identification import KnownIdentifier, Scope
from records.models import Patient, PatientEmail, PatientIdentifier

Key = tuple[int, str]


def locate(identifiers: Iterable[KnownIdentifier]) -> dict[Key, uuid.UUID]:
    """Return, for each identifier that is in a record, whose record that is.

    An e-mail address matches where it is the primary or a confirmed one. At most three queries,
    however many identifiers.
    """
    by_scope: dict[str, dict[str, list[Key]]] = {}
    for one in identifiers:
        group = one.type.scope if one.type.scope in (Scope.SYSTEM, Scope.EMAIL) else ""
        by_scope.setdefault(group, {}).setdefault(one.value, []).append(one.key)
    found: dict[Key, uuid.UUID] = {}
    if wanted := by_scope.get(""):
        wanted_keys = {key for keys in wanted.values() for key in keys}
        rows = PatientIdentifier.objects.filter(
            type_id__in={key[0] for key in wanted_keys}, value__in=list(wanted)
        ).values_list("type_id", "value", "patient_id")
        found |= {
            (type_id, value): patient
            for type_id, value, patient in rows
            if (type_id, value) in wanted_keys
        }
    if wanted := by_scope.get(Scope.EMAIL):
        emails = PatientEmail.objects.filter(
            Q(is_primary=True) | Q(confirmed_at__isnull=False), address__in=list(wanted)
        )
        for address, patient in emails.values_list("address", "patient_id"):
            found |= dict.fromkeys(wanted[address], patient)
    if wanted := by_scope.get(Scope.SYSTEM):
        for patient in Patient.objects.filter(pk__in=list(wanted)).values_list("pk", flat=True):
            found |= dict.fromkeys(wanted[str(patient)], patient)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that does not agree, and why in words; no value of either side."""

    field: str
    label: str
    reason: str


def soft_match(
    details: PatientDetails, patient: Patient, fields: Iterable[str]
) -> list[Difference]:
    """Return what differs between the message and the record; nothing is a match."""
    return [
        Difference(field, LABELS[field], reason)
        for field in sorted(fields)
        if (reason := _COMPARISONS[field](details, patient))
    ]


def not_given(details: PatientDetails, fields: Iterable[str]) -> list[str]:
    """Return the fields chosen for soft matching that the message does not have."""
    return [field for field in sorted(fields) if not _GIVEN[field](details)]


def normal(text: str) -> str:
    """Return `text` without case, accents, punctuation and spacing.

    >>> normal("O'Neill-Smïth ")
    'oneillsmith'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]+", "", "".join(c for c in plain if not unicodedata.combining(c)))


def _born_on(details: PatientDetails, patient: Patient) -> str | None:
    if details.born_on == patient.born_on:
        return None
    return why_dates_differ(details.born_on, patient.born_on)


def why_dates_differ(sent: date | None, held: date | None) -> str:
    """Return in words how two different dates of birth differ."""
    if sent is None or held is None:
        return "one side has no date"
    if (sent.year, sent.month, sent.day) == (held.year, held.day, held.month):
        return "day and month look swapped"
    if (sent.month, sent.day) == (held.month, held.day) and abs(sent.year - held.year) == 100:
        return "the century differs"
    digits = sum(a != b for a, b in zip(sent.isoformat(), held.isoformat(), strict=True))
    if digits == 1:
        return "one digit differs"
    same = [name for name in ("year", "month", "day") if getattr(sent, name) == getattr(held, name)]
    if same:
        return f"only the {' and the '.join(same)} agree{'s' if len(same) == 1 else ''}"
    return "the dates are different"


def _family_name(details: PatientDetails, patient: Patient) -> str | None:
    sent, held = details.family_name or "", patient.family_name
    if normal(sent) == normal(held):
        return None
    if _is_half(sent, held) or _is_half(held, sent):
        return "one side looks double-barrelled or is a maiden name"
    if _one_letter(normal(sent), normal(held)):
        return "one letter differs"
    if normal(sent) == normal(patient.given_name):
        return "family and given name look swapped"
    same_person = details.born_on == patient.born_on and normal(details.given_name or "") == normal(
        patient.given_name
    )
    if same_person:
        return "given name and date of birth agree: perhaps a married or maiden name"
    return "the names are different"


def _is_half(name: str, whole: str) -> bool:
    """Return whether `name` is one part of a name of several."""
    parts = {normal(part) for part in re.split(r"[\s-]+", whole)}
    return len(parts) > 1 and normal(name) in parts


def _given_name(details: PatientDetails, patient: Patient) -> str | None:
    sent, held = normal(details.given_name or ""), normal(patient.given_name)
    if sent == held:
        return None
    if sent[:1] == held[:1] and (len(sent) == 1 or len(held) == 1):
        return "one side has only the initial"
    if _one_letter(sent, held):
        return "one letter differs"
    family = normal(details.family_name or "") == normal(patient.family_name)
    if family and details.born_on and details.born_on == patient.born_on:
        return "same family name and date of birth: possibly a twin"
    return "the names are different"


def _initial(details: PatientDetails, patient: Patient) -> str | None:
    sent, held = normal(details.given_name or "")[:1], normal(patient.given_name)[:1]
    return None if sent == held else "the initials are different"


def _sex(details: PatientDetails, patient: Patient) -> str | None:
    if details.sex == patient.sex:
        return None
    return "one side says unknown" if "U" in (details.sex, patient.sex) else "they are different"


def _postcode(details: PatientDetails, patient: Patient) -> str | None:
    sent, held = normal(details.postcode or ""), normal(patient.postcode)
    if sent == held:
        return None
    if not held:
        return "the record has no postcode"
    if sent[:-3] == held[:-3]:
        return "the same district: perhaps a typing mistake"
    return "they are different: perhaps a move"


def _one_letter(a: str, b: str) -> bool:
    """Return whether one letter more, less or other makes one name of the other."""
    if abs(len(a) - len(b)) > 1 or not a or not b:
        return False
    short, long = sorted((a, b), key=len)
    first = next((i for i, c in enumerate(short) if c != long[i]), len(short))
    if len(short) == len(long):
        return short[first + 1 :] == long[first + 1 :]
    return short[first:] == long[first + 1 :]


LABELS = {
    "date_of_birth": "date of birth",
    "family_name": "family name",
    "given_name": "given name",
    "initial": "initial",
    "sex": "sex",
    "postcode": "postcode",
}
_COMPARISONS: dict[str, Callable[[PatientDetails, Patient], str | None]] = {
    "date_of_birth": _born_on,
    "family_name": _family_name,
    "given_name": _given_name,
    "initial": _initial,
    "sex": _sex,
    "postcode": _postcode,
}
_GIVEN: dict[str, Callable[[PatientDetails], object]] = {
    "date_of_birth": lambda details: details.born_on,
    "family_name": lambda details: details.family_name,
    "given_name": lambda details: details.given_name,
    "initial": lambda details: details.given_name,
    "sex": lambda details: details.sex,
    "postcode": lambda details: details.postcode,
}
PLACES = {
    "date_of_birth": (7, 1),
    "family_name": (5, 1),
    "given_name": (5, 2),
    "initial": (5, 2),
    "sex": (8, 1),
    "postcode": (11, 5),
}
