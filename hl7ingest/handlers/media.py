"""Files inside messages: what they are declared to be, what they are, what they are called."""

import re

from hl7ingest.hl7v2 import Segment

# OBX-5.2 and OBX-5.3, to a media type. MSWORD is published under APPLICATION.
_TYPES = {
    ("TEXT", "PLAIN"): "text/plain",
    ("TEXT", "HTML"): "text/html",
    ("TEXT", "PDF"): "application/pdf",
    ("APPLICATION", "PDF"): "application/pdf",
    ("TEXT", "RTF"): "application/rtf",
    ("APPLICATION", "RTF"): "application/rtf",
    ("APPLICATION", "MSWORD"): "application/msword",
    ("APPLICATION", "DOCX"): (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    ),
    ("IMAGE", "JPEG"): "image/jpeg",
    ("IMAGE", "JPG"): "image/jpeg",
    ("IMAGE", "PNG"): "image/png",
    ("IMAGE", "TIFF"): "image/tiff",
}
_ZIP, _OLE, _RTF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf"
_BEGINS: dict[str, tuple[bytes, ...]] = {
    "application/rtf": (_RTF,),
    "application/msword": (_OLE, _ZIP, _RTF),  # what senders call MSWORD
    _TYPES["APPLICATION", "DOCX"]: (_ZIP,),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/tiff": (b"II*\x00", b"MM\x00*"),
}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"<>:|?*\u202a-\u202e\u2066-\u2069]")


def declared_type(obx: Segment) -> str:
    """Return the media type that OBX-5.2 and OBX-5.3 declare, or refuse it."""
    key = obx.get(5, 2).upper(), obx.get(5, 3).upper()
    if key not in _TYPES:
        known = ", ".join(f"{kind}/{subtype}" for kind, subtype in _TYPES)
        raise obx.wrong(5, 3, "data subtype", f"must be one of {known}")
    return _TYPES[key]


def agrees(media_type: str, content: bytes) -> bool:
    """Return whether the bytes are of the declared type."""
    if media_type == "application/pdf":
        return b"%PDF-" in content[:1024]
    if media_type.startswith("text/"):
        return b"\x00" not in content and not content.startswith((b"%PDF-", _ZIP, _OLE))
    return content.startswith(_BEGINS[media_type])


def base_name(name: str) -> str:
    r"""Return a file name without any path or character that a file system or header minds.

    >>> base_name("..\\..\\etc/passwd.pdf")
    'passwd.pdf'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return _UNSAFE.sub("", last).strip(". ")[:150]
