"""The effect of a message in words: what becomes of each data point, before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.dateformat import format as format_date
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import localtime

from pkb.models import Team
from records.models import Appointment, IdentifierType
from records.models.documents import DOCUMENT_TYPES
from records.models.patient import Sex

Facts = dict[str, Any]
NOTHING = "–"  # noqa: RUF001
LONGEST = 600  # characters of a text that are shown
_LABELS = {
    "born_on": "Date of birth",
    "address_line_1": "Address, line 1",
    "address_line_2": "Address, line 2",
    "state": "County or state",
    "is_deceased": "Deceased",
    "died_at": "Died",
    "external_id": "Id",
    "type_code": "Type",
    "type_id": "Type",
    "starts_at": "Starts",
    "ends_at": "Ends",
    "management_url": "Link",
    "written_at": "Written",
    "delay_days": "Days held back",
    "parts": "Content",
    "withdrawn_at": "Withdrawn",
    "is_primary": "Primary address",
    "team_id": "Team",
}
_HIDDEN = {"source_id", "message_id", "entered_at", "type_system"}
_MOMENTS = {"starts_at", "ends_at", "died_at", "written_at", "withdrawn_at"}
_DAYS = {"born_on", "planned_postal_date"}
_FORMATS = {"year": "Y", "month": "F Y", "day": "j F Y"}


@dataclass(frozen=True, slots=True)
class Line:
    """One fact about a data point, before and after."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes of one data point; `action` is created, changed or withdrawn."""

    headline: str
    action: str
    lines: tuple[Line, ...]


def in_words(entries: Iterable[dict[str, Any]]) -> list[Item]:
    """Return each entry of an effect in words."""
    entries = list(entries)
    names = _Names.of(entries)
    found = []
    for entry in entries:
        before, after = entry["before"], entry["after"]
        lines = tuple(
            Line(
                _LABELS.get(name, name.replace("_", " ").capitalize()),
                names.value(entry["kind"], name, before),
                names.value(entry["kind"], name, after),
            )
            for name in dict.fromkeys([*before, *after])
            if name not in _HIDDEN and not name.endswith("_precision")
        )
        shown = tuple(line for line in lines if line.before != line.after)
        found.append(Item(names.headline(entry), entry["action"], shown))
    return found


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of the teams and identifier types that an effect speaks of."""

    teams: dict[int, Team]
    types: dict[int, IdentifierType]

    @classmethod
    def of(cls, entries: list[dict[str, Any]]) -> _Names:
        facts = [facts for entry in entries for facts in (entry["before"], entry["after"])]
        teams = {one["team_id"] for one in facts if one.get("team_id")}
        types = {one["type_id"] for one in facts if one.get("type_id")}
        return cls(
            Team.objects.select_related("organisation").in_bulk(list(teams)) if teams else {},
            IdentifierType.objects.in_bulk(list(types)) if types else {},
        )

    def value(self, kind: str, name: str, facts: Facts) -> str:
        """Return what `facts` says under `name`."""
        value = facts.get(name)
        if value is None or value in ("", []):
            return NOTHING
        if name == "team_id":
            return str(self.teams.get(value, value))
        if name == "type_id":
            return str(self.types.get(value, value))
        if name in _MOMENTS:
            return _moment(value, facts.get(name.replace("_at", "_precision"), ""))
        if name in _DAYS:
            return _day(value)
        if special := _VALUES.get((kind, name)):
            return special(value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return _short(str(value))

    def headline(self, entry: dict[str, Any]) -> str:
        """Return in one sentence what becomes of the data point."""
        kind, action = entry["kind"], entry["action"]
        facts = entry["after"] or entry["before"]
        values = {name: self.value(kind, name, facts) for name in facts}
        if kind == "appointment" and action == "changed" and "status" in facts:
            action = "becomes"
        plain = f"A new {kind}" if action == "created" else f"The {kind} is {action}"
        return _HEADLINES.get((kind, action), plain).format_map(values)


def _moment(value: str, precision: str) -> str:
    moment = parse_datetime(value)
    if moment is None:
        return value
    return format_date(localtime(moment), _FORMATS.get(precision, "j F Y, H:i"))


def _day(value: str) -> str:
    day = parse_date(value)
    return format_date(day, "j F Y") if day else value


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _parts(parts: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{part['title'] or 'File'} ({part['media_type']}, {filesizeformat(part['size'])})"
        if "digest" in part
        else _short(part["text"])
        for part in parts
    )


def _participants(people: list[dict[str, str]]) -> str:
    return "\n".join(
        " ".join(
            filter(None, (one["title"], one["given_name"], one["middle_names"], one["family_name"]))
        )
        + (f" ({one['role']})" if one["role"] else "")
        for one in people
    )


_VALUES: dict[tuple[str, str], Callable[[Any], str]] = {
    ("patient", "sex"): lambda code: dict(Sex.choices).get(code, code),
    ("appointment", "status"): lambda code: dict(Appointment.Status.choices).get(code, code),
    ("document", "type_code"): lambda code: DOCUMENT_TYPES.get(code, code),
    ("document", "parts"): _parts,
    ("appointment", "participants"): _participants,
}


_HEADLINES = {
    ("patient", "created"): "A new record is started",
    ("patient", "changed"): "The demographics change",
    ("identifier", "created"): "A new identifier: {type_id}",
    ("team link", "created"): "The patient becomes known to {team_id}",
    ("appointment", "created"): "A new appointment on {starts_at}",
    ("document", "created"): "A new document of {written_at}: {type_code}",
    ("document", "changed"): "The document is replaced",
    ("appointment", "becomes"): "The appointment becomes: {status}",
}
