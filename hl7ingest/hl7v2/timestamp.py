"""HL7 time stamps: an instant, and how exactly it was given. Source: hl7-api, time stamps."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

# Half a component (a single-digit hour) matches nothing. [0-9], since \d takes other scripts.
_FORM = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})"
    r"(?:\.([0-9]{1,4}))?)?)?)?)?)?(?:([+-])([0-9]{2})([0-9]{2}))?"
)
_PRECISIONS = ("year", "month", "day", "hour", "minute", "second", "millisecond")


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in UTC, and the precision it was given with: `year` to `millisecond`."""

    at: datetime
    precision: str


def read_moment(text: str, zone: tzinfo) -> Moment | None:
    """Return the instant that `text` spells, or None where it is no time stamp.

    Missing date parts are 1 and missing time parts 0; a fourth decimal is cut off, not rounded. A
    value without an offset is civil time in `zone`; one that does not exist or exists twice takes
    the earlier offset.

    >>> read_moment("20160203111213.9876+0100", UTC).at.isoformat()
    '2016-02-03T10:12:13.987000+00:00'
    >>> read_moment("2016020311121", UTC) is None
    True
    """
    found = _FORM.fullmatch(text)
    if not found or not _is_sane(found[1]):
        return None
    *parts, fraction, sign, hours, minutes = found.groups()
    given = [part for part in parts if part is not None]
    numbers = [int(part) for part in given] + [1, 1, 0, 0, 0][len(given) - 1 :]
    milliseconds = int((fraction or "0")[:3].ljust(3, "0"))
    if sign:
        if int(hours) > 14 or int(minutes) > 59:
            return None
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
    try:
        year, month, day, hour, minute, second = numbers
        civil = datetime(
            year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=zone, fold=0
        )
        return Moment(civil.astimezone(UTC), _PRECISIONS[len(given) - 1 + bool(fraction)])
    except (ValueError, OverflowError):
        return None


def read_day(text: str) -> date | None:
    """Return the literal day of a time stamp, whatever its time and zone, or None.

    >>> read_day("197001012330-0500")
    datetime.date(1970, 1, 1)
    """
    found = _FORM.fullmatch(text)
    if not found or not found[3] or not _is_sane(found[1]):
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def _is_sane(year: str) -> bool:
    """Return whether a zone can move a moment of this year without leaving the calendar."""
    return 1800 <= int(year) <= 9990
