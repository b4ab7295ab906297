"""PID: whom any message is about. Source: hl7-api, PID; identifiers; e-mail addresses."""

import re
from datetime import date

from hl7ingest.hl7v2 import NULL, Hl7Error, Message, Segment, read_day
from hl7ingest.hl7v2.errors import Condition, wrong_value
from records.changes import Identifier, Instant, PatientDetails

_STATUS = re.compile(r"(?P<code>[^{]*)\{status:(?P<status>[0-9]{2})\}")
_EMAIL = re.compile(r"[^@\s<>\"'()]+@[^@\s<>\"'()]+\.[^@\s<>\"'()]+")
MOST_IDENTIFIERS = 50
_SEXES = {"U", "M", "F", "I"}


def patient_details(message: Message) -> PatientDetails:
    """Return whom `message` is about; every value but the identifiers may be left out."""
    pid = message.require_one("PID")
    return PatientDetails(
        identifiers=_identifiers(pid),
        family_name=pid.given(5, 1),
        given_name=pid.given(5, 2),
        middle_names=pid.given(5, 3),
        title=pid.given(5, 5),
        born_on=_born_on(pid),
        sex=_sex(pid),
        **_address(pid),
        **_phones(pid),
        emails=tuple(dict.fromkeys(_email(pid, 13) + _email(pid, 14))),
        language=pid.given(15, 1, limit=20),
        died_at=_died_at(pid),
        died_at_cleared=pid.get(29) == NULL,
        is_deceased=_is_deceased(pid),
    )


def _identifiers(pid: Segment) -> tuple[Identifier, ...]:
    """Read PID-3 and the deprecated PID-2; only components 1, 4 and 5 count."""
    found = []
    for number in (3, 2):
        if len(pid.repetitions(number)) > MOST_IDENTIFIERS:
            must = f"must hold at most {MOST_IDENTIFIERS} identifiers"
            raise wrong_value(pid.at(number, None), "identifiers", must, "more")
        for repetition in pid.repetitions(number):
            parts = [*pid.components(repetition), "", "", "", "", ""]
            value, authority, code = parts[0], parts[3], parts[4]
            if not value or value == NULL:
                continue
            if len(value) > 100:
                raise pid.wrong(number, 1, "identifier", "must have at most 100 characters")
            status = ""
            if match := _STATUS.fullmatch(code):
                code, status = match["code"], match["status"]
            found.append(Identifier(value, authority, code, status, f"PID-{number}"))
    return tuple(dict.fromkeys(found))


def _born_on(pid: Segment) -> date | None:
    """Read the literal day of PID-7, whatever its time and zone."""
    if not (value := pid.get(7)):
        return None
    if (day := read_day(value)) is None:
        raise pid.wrong(7, 1, "date of birth", "must be a date YYYYMMDD")
    return day


def _sex(pid: Segment) -> str | None:
    """Read PID-8 in code set PKBCS01; `""` makes it unknown."""
    value = pid.get(8)
    if value in _SEXES or not value:
        return value or None
    if value == NULL:
        return "U"
    raise Hl7Error(
        "Invalid gender. Expected U, M, F or I",
        code="invalid-gender",
        at=pid.at(8),
        condition=Condition.TABLE_VALUE,
    )


def _address(pid: Segment) -> dict[str, str | None]:
    """Read PID-11; `""` for the field clears all its parts."""
    if pid.raw(11).strip() == NULL:
        return dict.fromkeys(_ADDRESS, "")
    return {
        name: pid.given(11, component, limit=limit)
        for component, (name, limit) in enumerate(_ADDRESS.items(), 1)
    }


_ADDRESS = {
    "address_line_1": 255,
    "address_line_2": 255,
    "city": 255,
    "state": 255,
    "postcode": 20,
    "country": 20,
}


def _phones(pid: Segment) -> dict[str, str]:
    """Read telephone numbers: PRN and none in PID-13 home, PRS mobile, any in PID-14 work.

    `""` for a field clears the numbers that it holds.
    """
    found: dict[str, str] = {}
    for number, slots in ((13, ("home_phone", "mobile_phone")), (14, ("work_phone",))):
        if pid.raw(number).strip() == NULL:
            found |= dict.fromkeys(slots, "")
            continue
        for repetition in pid.repetitions(number):
            parts = [*pid.components(repetition), "", "", ""]
            value, use = parts[0], parts[1].upper()
            if not value or use == "NET":
                continue
            if len(value) > 40:
                raise pid.wrong(number, 1, "telephone", "must have at most 40 characters")
            slot = "work_phone" if number == 14 else _HOME.get(use, "home_phone")
            found.setdefault(slot, "" if value == NULL else value)
    return found


_HOME = {"PRS": "mobile_phone", "WPN": "work_phone"}


def _email(pid: Segment, number: int) -> list[str]:
    """Read the one e-mail address of a field: `addr^NET` (older) or `^NET^^addr` (newer)."""
    found = []
    for repetition in pid.repetitions(number):
        parts = [*pid.components(repetition), "", "", "", ""]
        if parts[1].upper() != "NET":
            continue
        address = (parts[0] or parts[3]).lower()
        if not address or address == NULL:
            continue
        if len(address) > 254 or not _EMAIL.fullmatch(address):
            raise pid.wrong(number, 1, "e-mail address", "must be an e-mail address")
        found.append(address)
    if len(found) > 1:
        raise pid.wrong(number, 1, "e-mail address", "must hold at most one e-mail address")
    return found


def _died_at(pid: Segment) -> Instant | None:
    moment = pid.moment(29, 1, "death timestamp")
    return Instant(moment.at, moment.precision) if moment else None


def _is_deceased(pid: Segment) -> bool | None:
    """Read PID-30; a death timestamp alone says so too."""
    value = pid.get(30)
    if value not in {"Y", "N", "", NULL}:
        raise pid.wrong(30, 1, "death indicator", "must be Y or N")
    if value in {"N", NULL}:
        return False
    return True if value == "Y" or pid.get(29) not in {"", NULL} else None
