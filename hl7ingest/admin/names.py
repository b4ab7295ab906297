"""Whom held messages are about, read from their first bytes: a list loads no letters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import BinaryField
from django.db.models.functions import Substr

from hl7ingest.hl7v2 import Hl7Error, parse
from hl7ingest.models import MessageBody

HEAD = 16_384  # bytes in which MSH and PID stand
_ENDS = re.compile(r"\r\n|\r|\n")


def names_of(messages: Iterable[int]) -> dict[int, str]:
    """Return family and given name by message; one query, none of it kept."""
    rows = MessageBody.objects.filter(pk__in=list(messages)).values_list(
        "pk", Substr("raw", 1, HEAD, output_field=BinaryField()), "charset"
    )
    return {pk: _name(bytes(head).decode(charset, "ignore")) for pk, head, charset in rows}


def _name(head: str) -> str:
    lines = _ENDS.split(head.strip("\ufeff\x0b\x1c\r\n \t"))
    pid = next((line for line in lines if line.startswith("PID")), "")
    try:
        segment = parse(f"{lines[0]}\r{pid}").find("PID")
    except Hl7Error:
        return ""
    return ", ".join(part for part in (segment.get(5, 1), segment.get(5, 2)) if part)
