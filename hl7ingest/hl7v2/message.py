"""Read a message, and address its parts as the standard does: `PID-5.1`, counted from 1.

Reading is lazy: a segment is cut into fields when one of them is asked for, so that a large
document costs nothing until its content is wanted. Measured and held against python-hl7 by
`tests/test_reader_agrees_with_python_hl7.py`; see `docs/decisions/0003-our-own-reader.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from hl7ingest.hl7v2.errors import Condition, Hl7Error, Location, missing, wrong_value
from hl7ingest.hl7v2.timestamp import Moment, read_moment

NULL = '""'  # the HL7 null: the sender clears the field
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """What MSH-1 and MSH-2 say."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def msh_2(self) -> str:
        """The encoding characters as MSH-2 holds them."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation

    def unescape(self, text: str) -> str:
        r"""Return `text` with its escape sequences read.

        Delimiters, `\.br\` and `\Xdd..\` become what they stand for, highlighting is dropped, an
        unknown sequence stays as it is.

        >>> Delimiters().unescape(r"A\T\B \H\bold\N\ \X41\ \Zq\ ")
        'A&B bold A \\Zq\\ '
        """
        if self.escape not in text:
            return text
        return _escape_pattern(self.escape).sub(self._read_escape, text)

    def _read_escape(self, found: re.Match[str]) -> str:
        name = found[1]
        known = {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
            "P": self.truncation or found[0],
            ".br": "\n",
            "H": "",
            "N": "",
        }
        if name in known:
            return known[name]
        if name.startswith("X") and len(name) > 1 and len(name) % 2:
            try:
                data = bytes.fromhex(name[1:])
            except ValueError:
                return found[0]
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text = data.decode("iso-8859-1")
            return found[0] if "\0" in text else text
        return found[0]


@lru_cache(maxsize=32)
def _escape_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([^{mark}\r\n]{{1,200}}){mark}")


@dataclass(frozen=True)
class Segment:
    """One line of a message."""

    name: str
    line: str = field(repr=False)
    occurrence: int = 1
    delimiters: Delimiters = field(default=Delimiters(), repr=False)
    zone: ZoneInfo = field(default=_LONDON, repr=False)

    @cached_property
    def fields(self) -> list[str]:
        """The raw fields: `fields[n]` is XXX-n, `fields[0]` the name."""
        parts = self.line.split(self.delimiters.field)
        return [parts[0], self.delimiters.field, *parts[1:]] if self.name == "MSH" else parts

    def raw(self, number: int) -> str:
        """Return field `number` as it came; empty when absent."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """Return the raw repetitions of field `number`; none when it is blank."""
        raw = self.raw(number)
        return raw.split(self.delimiters.repetition) if raw.strip() else []

    def components(self, repetition: str) -> list[str]:
        """Return the components of a raw repetition, read; only a first subcomponent counts."""
        marks = self.delimiters
        return [
            marks.unescape(part.partition(marks.subcomponent)[0]).strip()
            for part in repetition.split(marks.component)
        ]

    def get(self, number: int, component: int = 1) -> str:
        """Return a component of the field's first repetition; empty when absent."""
        raw = self.raw(number)
        if not raw:
            return ""
        marks = self.delimiters
        if self.name == "MSH" and number <= 2:
            return raw  # the delimiters themselves
        raw = raw.partition(marks.repetition)[0]
        parts = raw.split(marks.component, component)
        if component > len(parts):
            return ""
        return marks.unescape(parts[component - 1].partition(marks.subcomponent)[0]).strip()

    def text(self, number: int) -> str:
        """Return the whole field as free text: repetitions are lines, separators are kept."""
        return "\n".join(self.delimiters.unescape(part) for part in self.repetitions(number))

    def at(self, number: int, component: int | None = 1) -> Location:
        """Return where a component stands, for an error."""
        return Location(self.name, self.occurrence, number, component)

    def given(self, number: int, component: int = 1, *, limit: int = 255) -> str | None:
        """Return what the sender says of an optional value.

        None where it is blank (leave what is stored alone), empty for `""` (clear it), else the
        value, of at most `limit` characters.
        """
        value = self.get(number, component)
        if value == NULL:
            return ""
        if len(value) > limit:
            raise self.wrong(number, component, "text", f"must have at most {limit} characters")
        return value or None

    def require(self, number: int, component: int, name: str, *, limit: int = 255) -> str:
        """Return a value that must be there; `""` does not clear it."""
        value = self.given(number, component, limit=limit)
        if value is None:
            raise missing(self.at(number, component), name)
        if not value:
            raise self.wrong(number, component, name, 'must not be cleared with ""')
        return value

    def moment(self, number: int, component: int, name: str) -> Moment | None:
        """Return the instant at a place, or None where it is blank or `""`."""
        value = self.get(number, component)
        if not value or value == NULL:
            return None
        if (moment := read_moment(value, self.zone)) is None:
            raise self.wrong(number, component, name, "must be a time stamp YYYYMMDDHHMMSS+ZZZZ")
        return moment

    def wrong(self, number: int, component: int, name: str, must: str) -> Hl7Error:
        """Return the error that says what a field must be."""
        provided = self.get(number, component)
        return wrong_value(self.at(number, component), name, must, provided)


@dataclass(frozen=True)
class Message:
    """A message, its segments in their order."""

    segments: tuple[Segment, ...]
    delimiters: Delimiters = Delimiters()

    @cached_property
    def msh(self) -> Segment:
        """The header."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """The message type and trigger event, such as `ADT^A28`."""
        return f"{self.msh.get(9, 1)}^{self.msh.get(9, 2)}"

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.msh.get(10)

    def all(self, name: str) -> Iterator[Segment]:
        """Yield every segment called `name`."""
        return (segment for segment in self.segments if segment.name == name)

    def find(self, name: str) -> Segment:
        """Return the first segment called `name`, or an empty one."""
        return next(self.all(name), Segment(name, name, 1, self.delimiters))

    def has(self, name: str) -> bool:
        """Return whether there is a segment called `name`."""
        return any(segment.name == name for segment in self.segments)

    def require(self, name: str) -> Segment:
        """Return the first segment called `name`, or refuse the message for lacking it."""
        if not self.has(name):
            raise Hl7Error(
                f"{name} segment must be provided",
                code="required-segment-missing",
                at=Location(name),
                condition=Condition.SEGMENT_SEQUENCE,
                prefixed=True,
            )
        return self.find(name)

    def require_one(self, name: str) -> Segment:
        """Return the only segment called `name`, or refuse the message for its number."""
        first, *more = [*self.all(name)] or [self.require(name)]
        if more:
            raise Hl7Error(
                f"{name} segment must be given once. You provided {len(more) + 1}",
                code="repeated-segment",
                at=Location(name, 2),
                condition=Condition.SEGMENT_SEQUENCE,
                prefixed=True,
            )
        return first

    def in_zone(self, zone: ZoneInfo) -> Message:
        """Return this message with its civil times read in `zone`."""
        if self.segments and self.segments[0].zone is zone:
            return self
        return Message(
            tuple(Segment(s.name, s.line, s.occurrence, s.delimiters, zone) for s in self.segments),
            self.delimiters,
        )


NOTHING = Message((Segment("MSH", "MSH|"),))  # what to acknowledge when nothing could be read


def parse(text: str) -> Message:
    r"""Return the message that `text` spells.

    CR, LF or CRLF end a segment; blank lines, a byte order mark and the framing of MLLP around
    the message are tolerated. Delimiters are those that MSH names.

    >>> parse("MSH|^~\\&|App|Site\rPID|||919^^^NHS").find("PID").get(3)
    '919'
    """
    text = text.strip("\ufeff\x0b\x1c\r\n \t").replace("\r\n", "\r").replace("\n", "\r")
    lines = [line for line in text.split("\r") if line and not line.isspace()]
    if not lines:
        raise _no_message("The message is empty", "empty-message")
    delimiters = _delimiters(lines[0])
    counts: dict[str, int] = {}
    segments = []
    for position, line in enumerate(lines, 1):
        name = line.partition(delimiters.field)[0].strip()
        if not _NAME.fullmatch(name):
            raise _no_message(f"Line {position} does not begin with a segment name", "not-hl7")
        if name == "MSH" and position > 1:
            raise _no_message("One request carries one message: a second MSH", "second-msh")
        counts[name] = counts.get(name, 0) + 1
        segments.append(Segment(name, line, counts[name], delimiters))
    return Message(tuple(segments), delimiters)


def _delimiters(header: str) -> Delimiters:
    if not header.startswith("MSH"):
        raise _no_message("The message must begin with MSH", "no-msh")
    mark = header[3:4]
    encoding = header[4:].partition(mark)[0] if mark else ""
    if not 4 <= len(encoding) <= 5 or not mark.isprintable() or mark.isalnum():
        raise _no_message(
            "MSH-1 and MSH-2 must name the field separator and the encoding characters "
            r"(MSH|^~\&|)",
            "bad-delimiters",
        )
    if len({mark, *encoding}) != 1 + len(encoding) or any(c.isalnum() for c in encoding):
        raise _no_message("MSH-1 and MSH-2 must be different characters", "bad-delimiters")
    return Delimiters(mark, *encoding)


def _no_message(text: str, code: str) -> Hl7Error:
    return Hl7Error(
        text,
        code=code,
        at=Location("MSH"),
        condition=Condition.SEGMENT_SEQUENCE,
        prefixed=True,
    )
