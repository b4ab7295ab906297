"""Which of a message's identifiers are known kinds, and whether their values can be right.

Source: hl7-api, identifiers. Kinds are rows (`IdentifierType`); only authority and type code say
which one an identifier is, wherever it stands.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from nhs_number.validate import is_valid

from pkb.configuration import Remembered
from records.changes import Identifier
from records.models import IdentifierType

Scope = IdentifierType.Scope
VERIFIED = "01"


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """An identifier type as the door remembers it."""

    id: int
    authority: str
    type_code: str
    scope: str
    check_digit: str
    organisation_id: int | None
    team_id: int | None


@dataclass(frozen=True, slots=True)
class KnownIdentifier:
    """An identifier of a known type."""

    type: TypeEntry
    value: str
    status: str

    @property
    def key(self) -> tuple[int, str]:
        """What is unique among all records."""
        return self.type.id, self.value

    @property
    def is_national(self) -> bool:
        """Whether it is of a country, one value a record."""
        return self.type.scope == Scope.NATIONAL

    @property
    def can_start_a_record(self) -> bool:
        """Whether it is national, of an organisation or of a team."""
        return self.type.scope in {Scope.NATIONAL, Scope.ORGANISATION, Scope.TEAM}


class BadIdentifier(ValueError):
    """A value that no identifier of its type can have. Bears the place, never the value."""

    def __init__(self, identifier: Identifier, type_name: str) -> None:
        super().__init__(identifier.place)
        self.identifier = identifier
        self.type_name = type_name


def read() -> tuple[TypeEntry, ...]:
    """Read the identifier types; exact ones before those with a wildcard."""
    rows = sorted(IdentifierType.objects.all(), key=lambda row: row.authority == "*")
    return tuple(
        TypeEntry(
            row.pk,
            row.authority,
            row.type_code,
            row.scope,
            row.check_digit,
            row.organisation_id,
            row.team_id,
        )
        for row in rows
    )


types = Remembered(read)


def email_key(address: str) -> tuple[int, str]:
    """Return the key of an e-mail address as an identifier."""
    entry = next((one for one in types.get() if one.scope == Scope.EMAIL), None)
    return (entry.id if entry else 0), address.lower()


def recognise(
    identifiers: tuple[Identifier, ...], organisation_id: int, teams: frozenset[int]
) -> tuple[list[KnownIdentifier], list[Identifier]]:
    """Return the identifiers of known types, and those that are ignored.

    Local types are those of the organisation; a team's own count for that team alone. A value that
    fails its check digit raises `BadIdentifier`.
    """
    known: dict[tuple[int, str], KnownIdentifier] = {}
    ignored = []
    for identifier in identifiers:
        entry = _type_of(identifier, organisation_id, teams)
        if entry is None:
            ignored.append(identifier)
            continue
        value = _normal(identifier, entry)
        found = KnownIdentifier(entry, value, identifier.status)
        known.setdefault(found.key, found)
    return list(known.values()), ignored


def _type_of(
    identifier: Identifier, organisation_id: int, teams: frozenset[int]
) -> TypeEntry | None:
    for entry in types.get():
        if (
            entry.type_code == identifier.type_code
            and entry.authority in (identifier.authority, "*")
            and entry.organisation_id in (None, organisation_id)
            and (entry.team_id is None or entry.team_id in teams)
        ):
            return entry
    return None


def _normal(identifier: Identifier, entry: TypeEntry) -> str:
    value = identifier.value
    if entry.scope == Scope.EMAIL:
        return value.lower()
    if entry.scope == Scope.SYSTEM:
        try:
            return str(uuid.UUID(value))
        except ValueError:
            raise BadIdentifier(identifier, "PKB public id") from None
    if entry.check_digit == IdentifierType.CheckDigit.NHS:
        value = value.replace(" ", "").replace("-", "")
        if not is_nhs_number(value):
            raise BadIdentifier(identifier, "NHS number")
    return value


def is_nhs_number(value: str) -> bool:
    """Return whether ten digits pass modulus 11; ten equal ones only in a sandbox.

    >>> is_nhs_number("9191029996"), is_nhs_number("9191029997")
    (True, False)
    """
    if len(value) != 10 or not (value.isascii() and value.isdigit()):
        return False
    if len(set(value)) == 1 and not settings.SANDBOX:
        return False
    return bool(is_valid(value))
