"""MSH: what any message must say of itself. Source: hl7-api, standard segments."""

from datetime import UTC, datetime

from hl7ingest.hl7v2 import Message
from hl7ingest.hl7v2.errors import missing

_REQUIRED = (
    (7, "message timestamp"),
    (9, "message type"),
    (10, "message control ID"),
    (11, "processing ID"),
)
LONGEST_CONTROL_ID = 199


def check(message: Message) -> None:
    """Refuse a message whose header lacks what the published page requires."""
    msh = message.msh
    for number, name in _REQUIRED:
        msh.require(number, 1, name, limit=LONGEST_CONTROL_ID)
    if not msh.get(10).isprintable():
        raise msh.wrong(10, 1, "message control ID", "must be printable characters")
    if not msh.get(9, 2):
        raise missing(msh.at(9, 2), "trigger event")
    sent_at(message)


def sent_at(message: Message) -> datetime:
    """Return MSH-7 in UTC."""
    moment = message.msh.moment(7, 1, "message timestamp")
    return moment.at if moment else datetime.min.replace(tzinfo=UTC)
