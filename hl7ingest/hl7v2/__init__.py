"""HL7 v2 itself: bytes in, message out, and back. Imports neither Django nor anything of ours."""

from hl7ingest.hl7v2.ack import Ack, acknowledge
from hl7ingest.hl7v2.charset import decode
from hl7ingest.hl7v2.errors import Hl7Error, Location
from hl7ingest.hl7v2.message import NOTHING, NULL, Message, Segment, parse
from hl7ingest.hl7v2.timestamp import Moment, read_day, read_moment

__all__ = [
    "NOTHING",
    "NULL",
    "Ack",
    "Hl7Error",
    "Location",
    "Message",
    "Moment",
    "Segment",
    "acknowledge",
    "decode",
    "parse",
    "read_day",
    "read_moment",
]
