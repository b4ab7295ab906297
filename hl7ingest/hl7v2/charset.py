"""Bytes to text: which character set, and what surrounds the message."""

import codecs

from hl7ingest.hl7v2.errors import Condition, Hl7Error, Location

# HL7 table 0211 and the names that senders use instead, in lower case, to Python's codecs
_CODECS = {
    "ascii": "ascii",
    "us-ascii": "ascii",
    "unicode utf-8": "utf-8",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "8859/1": "iso-8859-1",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "8859/15": "iso-8859-15",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
    "utf-16": "utf-16",
}
_SUPPORTED = "UTF-8, ISO-8859-1, ISO-8859-15, windows-1252 or UTF-16 with a byte order mark"


def decode(body: bytes, charset: str = "") -> tuple[str, str]:
    """Return the text of `body` and the codec that read it.

    The character set is `charset` (of the Content-Type), else MSH-18, else UTF-8; a byte order
    mark of UTF-16 decides before either. Undecodable bytes are refused, never replaced.
    """
    codec = _codec(body, charset)
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        raise Hl7Error(
            f"The message is not {codec.upper()}: byte {error.start + 1} cannot be read",
            code="undecodable",
            at=Location("MSH", 1, 18),
            hint="Name the character set in MSH-18 or in the Content-Type: " + _SUPPORTED,
        ) from None
    if "\0" in text:
        raise Hl7Error(
            f"The message holds a NUL character at position {text.index(chr(0)) + 1}",
            code="nul-character",
            hint="Send the message without NUL characters",
        )
    return text, codec


def _codec(body: bytes, charset: str) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    named = charset or _msh_18(body)
    codec = _CODECS.get(named.strip().lower(), "") if named else "utf-8"
    if codec == "utf-16" or not codec:  # UTF-16 without its mark is not readable with certainty
        raise Hl7Error(
            "MSH-18.1 (character set) must be one that is supported",
            code="unsupported-charset",
            at=Location("MSH", 1, 18, 1),
            condition=Condition.TABLE_VALUE,
            hint="Send " + _SUPPORTED,
        )
    return "utf-8-sig" if codec == "utf-8" and body.startswith(codecs.BOM_UTF8) else codec


def _msh_18(body: bytes) -> str:
    """Return MSH-18 of a message whose character set is not known yet; empty when absent."""
    start = body.find(b"MSH", 0, 64)
    if start < 0:
        return ""
    ends = [end for end in (body.find(b"\r", start), body.find(b"\n", start)) if end >= 0]
    line = body[start : min(ends, default=len(body))]
    if len(line) < 4:
        return ""
    fields = line.split(line[3:4])
    value = fields[17] if len(fields) > 17 else b""
    repetition = line[5:6] if len(line) > 5 else b"~"
    return value.split(repetition or b"~")[0].decode("ascii", "replace")
