"""What can be wrong with a message: where, which kind, and how to mend it."""

from dataclasses import dataclass
from enum import Enum

PREFIX = "Parsing or validation error: "


class Condition(Enum):
    """HL7 table 0357, message error condition codes."""

    SEGMENT_SEQUENCE = (100, "Segment sequence error")
    REQUIRED_FIELD_MISSING = (101, "Required field missing")
    DATA_TYPE = (102, "Data type error")
    TABLE_VALUE = (103, "Table value not found")
    UNSUPPORTED_MESSAGE_TYPE = (200, "Unsupported message type")
    UNSUPPORTED_EVENT = (201, "Unsupported event code")
    UNSUPPORTED_PROCESSING_ID = (202, "Unsupported processing id")
    UNKNOWN_KEY = (204, "Unknown key identifier")
    DUPLICATE_KEY = (205, "Duplicate key identifier")
    LOCKED = (206, "Application record locked")
    INTERNAL = (207, "Application internal error")

    @property
    def number(self) -> int:
        """The code of table 0357."""
        return self.value[0]

    @property
    def label(self) -> str:
        """The words of table 0357."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a message, counted from 1 as the standard counts."""

    segment: str
    occurrence: int = 1
    field: int | None = None
    component: int | None = None

    @classmethod
    def parse(cls, place: str) -> "Location":
        """Read a place as the published texts write it.

        >>> Location.parse("SCH-11.4").component
        4
        """
        segment, _, rest = place.partition("-")
        field, _, component = rest.partition(".")
        return cls(segment, 1, int(field), int(component) if component else None)

    def __str__(self) -> str:
        """As the published texts write it.

        >>> str(Location("SCH", 1, 1, 1))
        'SCH-1.1'
        """
        if self.field is None:
            return self.segment
        component = f".{self.component}" if self.component else ""
        return f"{self.segment}-{self.field}{component}"


class Hl7Error(Exception):
    """The sender's message is at fault; the answer is AR with `answer` in MSA-3.

    `str()` of it is the code and the place alone, so that it may be logged: what the sender sent
    stands only in `answer`, which goes back to that sender and nowhere else.
    """

    def __init__(
        self,
        text: str,
        *,
        code: str,
        at: Location | None = None,
        condition: Condition = Condition.DATA_TYPE,
        hint: str = "",
        prefixed: bool = False,
    ) -> None:
        super().__init__(code, str(at or ""))
        self.code = code
        self.at = at
        self.condition = condition
        self.hint = hint or text.partition(" You provided [")[0]
        self.answer = (PREFIX if prefixed else "") + text

    def __str__(self) -> str:
        return f"{self.code} at {self.at}" if self.at else self.code


def wrong_value(
    at: Location,
    name: str,
    must: str,
    provided: str,
    *,
    code: str = "invalid-value",
    condition: Condition = Condition.DATA_TYPE,
) -> Hl7Error:
    """Return the error for a field, in the published pattern.

    `SCH-1.1 (placer ID) must be provided. You provided []`; MSH fields bear no prefix, and a
    repeated segment is named first: `OBX[2]: OBX-5.4 (encoding) must be ...`.
    """
    where = f"{at.segment}[{at.occurrence}]: " if at.segment in _REPEATING else ""
    return Hl7Error(
        f"{where}{at} ({name}) {must}. You provided [{_shown(provided)}]",
        code=code,
        at=at,
        condition=condition,
        prefixed=at.segment != "MSH",
    )


def missing(at: Location, name: str) -> Hl7Error:
    """Return the error for a required field that is not there."""
    return wrong_value(
        at,
        name,
        "must be provided",
        "",
        code="required-field-missing",
        condition=Condition.REQUIRED_FIELD_MISSING,
    )


_REPEATING = frozenset({"OBX", "NTE", "AIP", "AL1", "DG1", "ZRX", "NK1"})


def _shown(value: str) -> str:
    """Return `value` as an answer may repeat it: one short line without control characters."""
    line = "".join(c if c.isprintable() else " " for c in value)
    return line if len(line) <= 100 else line[:97] + "..."
