"""MDM: documents. Source: hl7-api, MDM documents; delayed release."""

import base64
import binascii
import re
from datetime import UTC, date, datetime

from hl7ingest.handlers import media
from hl7ingest.handlers.header import sent_at
from hl7ingest.handlers.pid import patient_details
from hl7ingest.hl7v2 import NULL, Hl7Error, Message, Segment, read_day
from hl7ingest.hl7v2.errors import Condition, missing
from records.changes import Attachment, Instant, PutDocument, TextPart, WithdrawDocument

_TEXT_TYPES = {"TX", "FT", "ST"}
_DAYS = re.compile(r"[0-9]{1,3}")
LONGEST_DELAY = 366


def put_document(message: Message) -> PutDocument:
    """T02: a new document, or one that replaces the document with the same TXA-12."""
    txa, pv1 = message.require_one("TXA"), message.find("PV1")
    type_code = txa.require(2, 1, "document type", limit=50)
    if type_code == "CP":
        raise Hl7Error(
            "TXA-2.1 (document type) CP, a care plan, is not supported yet",
            code="unsupported-document-type",
            at=txa.at(2),
            condition=Condition.TABLE_VALUE,
            prefixed=True,
        )
    if txa.require(17, 1, "document completion status") != "AU":
        raise txa.wrong(17, 1, "document completion status", "must be AU")
    message.require("OBX")
    return PutDocument(
        patient=patient_details(message),
        sent_at=sent_at(message),
        external_id=txa.require(12, 1, "unique document number", limit=200),
        type_code=type_code,
        written=_written(message),
        author=_person(txa, 5),
        file_name=media.base_name(txa.given(16, 1) or ""),
        patient_class=pv1.given(2, 1, limit=50) or "",
        specialty=pv1.given(10, 1) or "",
        delay_days=_delay(message.find("OBX")),
        planned_postal_date=_postal_date(message),
        parts=tuple(_part(obx) for obx in message.all("OBX")),
    )


def withdraw_document(message: Message) -> WithdrawDocument:
    """T11: take the document back; an unknown one is no error."""
    txa = message.require_one("TXA")
    return WithdrawDocument(
        patient=patient_details(message),
        sent_at=sent_at(message),
        external_id=txa.require(12, 1, "unique document number", limit=200),
    )


def _written(message: Message) -> Instant:
    """Return the document time: the first of TXA-8, 7, 6 and 4, else MSH-7."""
    txa = message.find("TXA")
    for number, name in (
        (8, "edit time"),
        (7, "transcription time"),
        (6, "origination time"),
        (4, "activity time"),
    ):
        if moment := txa.moment(number, 1, name):
            return Instant(moment.at, moment.precision)
    moment = message.msh.moment(7, 1, "message timestamp")
    return Instant(moment.at, moment.precision) if moment else Instant(datetime.now(UTC), "second")


def _person(segment: Segment, number: int) -> str:
    title, given, middle, family = (segment.get(number, part) for part in (6, 3, 4, 2))
    return " ".join(part for part in (title, given, middle, family) if part)[:255]


def _delay(obx: Segment) -> int:
    """Read OBX-13.1 of the first OBX: whole days, 0 to 366."""
    value = obx.get(13)
    if not value or value == NULL:
        return 0
    if not _DAYS.fullmatch(value) or int(value) > LONGEST_DELAY:
        raise obx.wrong(13, 1, "delay", f"must be whole days, 0 to {LONGEST_DELAY}")
    return int(value)


def _postal_date(message: Message) -> date | None:
    zpm = message.find("ZPM")
    value = zpm.get(1)
    if not value or value == NULL:
        return None
    if (day := read_day(value)) is None:
        raise zpm.wrong(1, 1, "planned postal date", "must be a date YYYYMMDD")
    return day


def _part(obx: Segment) -> TextPart | Attachment:
    value_type = obx.require(2, 1, "value type")
    title = obx.get(3, 2) or obx.get(3, 5)
    if value_type in _TEXT_TYPES:
        if not (text := obx.text(5)).strip():
            raise missing(obx.at(5), "content")
        return TextPart(title[:255], text)
    if value_type != "ED":
        raise obx.wrong(2, 1, "value type", "must be ED, TX, FT or ST")
    media_type = media.declared_type(obx)
    content = _content(obx)
    if not media.agrees(media_type, content):
        raise obx.wrong(5, 3, "data subtype", "must be what the content is")
    return Attachment(media_type, title[:255], content)


def _content(obx: Segment) -> bytes:
    """Decode OBX-5.5: base64, or text as it stands where OBX-5.4 is A."""
    encoding = obx.get(5, 4)
    if encoding.upper() == "A":
        content = obx.delimiters.unescape(_raw_data(obx)).encode()
    elif encoding.upper() == "BASE64":
        try:
            content = base64.b64decode(_without_breaks(obx), validate=True)
        except (binascii.Error, ValueError):
            raise Hl7Error(
                f"OBX[{obx.occurrence}]: OBX-5.5 (data) must be base64 that decodes",
                code="broken-base64",
                at=obx.at(5, 5),
                prefixed=True,
            ) from None
    else:
        raise obx.wrong(5, 4, "encoding", "must be Base64 or A")
    if not content:
        raise missing(obx.at(5, 5), "data")
    return content


def _raw_data(obx: Segment) -> str:
    """Return OBX-5.5 as it came, and whatever a sender failed to escape after it."""
    parts = obx.raw(5).split(obx.delimiters.component, 4)
    return parts[4] if len(parts) > 4 else ""


def _without_breaks(obx: Segment) -> str:
    """Return base64 without the line breaks that senders put into it."""
    mark = obx.delimiters.escape
    return "".join(_raw_data(obx).replace(f"{mark}.br{mark}", "").split())
