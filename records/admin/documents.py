"""Documents as staff read them: texts as text, files to take away, nothing that runs."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import dataclass

import nh3
from django.http import Http404, HttpResponse
from django.utils.http import content_disposition_header

from records import attachments
from records.models import Document, Patient

MOST_SHOWN = 200_000  # characters
_LINES = {"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"}
_TAG = re.compile(r"<[^>]*>")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\\"<>:|?*\u202a-\u202e\u2066-\u2069]")
_ENDINGS = {
    "text/plain": "txt",
    "text/html": "html",
    "application/pdf": "pdf",
    "application/rtf": "rtf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/tiff": "tif",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a document: its text as far as it has one, its size where it is a file."""

    number: int
    title: str
    media_type: str
    text: str = ""
    is_cut: bool = False
    size: int | None = None


def find(patient: Patient, document_id: uuid.UUID) -> Document:
    """Return the patient's document, or 404."""
    document = (
        Document.objects.filter(patient=patient, pk=document_id)
        .select_related("source__partner", "source__connecting", "source__controller")
        .first()
    )
    if document is None:
        raise Http404
    document.patient = patient
    return document


def parts_of(document: Document) -> list[Part]:
    """Return the parts in order, with what can be read of them."""
    found = []
    for number, part in enumerate(document.parts, 1):
        text, media_type = part.get("text", ""), part["media_type"]
        if "digest" in part and media_type in {"text/plain", "text/html"}:
            text = attachments.content(part["digest"]).decode("utf-8", "replace")
        if media_type == "text/html":
            text = text_of(text)
        found.append(
            Part(
                number,
                part["title"],
                media_type,
                text[:MOST_SHOWN],
                len(text) > MOST_SHOWN,
                part.get("size"),
            )
        )
    return found


def text_of(markup: str) -> str:
    r"""Return what HTML says, as plain text; the template escapes it like any other.

    >>> text_of("<p>Dear <b>Ann</b></p><script>alert(1)</script>1 &lt; 2")
    'Dear Ann\n1 < 2'
    """
    clean = nh3.clean(markup, tags=_LINES, attributes={}, clean_content_tags={"script", "style"})
    lines = (line.strip() for line in html.unescape(_TAG.sub("\n", clean)).splitlines())
    return "\n".join(line for line in lines if line)


def download(document: Document, number: int) -> HttpResponse:
    """Return the file of part `number`, so that a browser keeps it and never opens it here."""
    if not 1 <= number <= len(document.parts) or "digest" not in document.parts[number - 1]:
        raise Http404
    part = document.parts[number - 1]
    media_type = part["media_type"]
    if media_type not in _ENDINGS or media_type == "text/html":
        media_type = "application/octet-stream"
    response = HttpResponse(attachments.content(part["digest"]), content_type=media_type)
    name = file_name(part["title"] or document.file_name, part["media_type"])
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "no-store"
    return response


def file_name(title: str, media_type: str) -> str:
    r"""Return a name without any path, that ends as its type does.

    >>> file_name("..\\..\\etc/pass<wd", "application/pdf"), file_name("", "image/png")
    ('passwd.pdf', 'attachment.png')
    """
    last = title.replace("\\", "/").rpartition("/")[2]
    name = _UNSAFE.sub("", last).strip(". ")[:100] or "attachment"
    ending = _ENDINGS.get(media_type, "bin")
    return name if name.lower().endswith(f".{ending}") else f"{name}.{ending}"
