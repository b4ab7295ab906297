"""Documents: put, replace, take back. Source: hl7-api, MDM documents."""

from __future__ import annotations

from typing import Any

from records.apply.context import Context
from records.changes import Attachment, PutDocument, TextPart, WithdrawDocument
from records.effects import Effect, facts
from records.models import Document


def put_document(change: PutDocument, context: Context, effect: Effect) -> None:
    """Create the document, or replace in full the one that has this id."""
    document = context.find(Document, change.external_id)
    before = facts(document) if document else None
    if document is None:
        document = Document(
            patient=context.patient,
            controller_id=context.controller_id,
            external_id=change.external_id,
            origin_id=context.source_id,
            created_at=context.workspace.now,
        )
    document.type_code = change.type_code
    document.written_at = change.written.at
    document.written_precision = change.written.precision
    document.author = change.author
    document.file_name = change.file_name
    document.patient_class = change.patient_class
    document.specialty = change.specialty
    document.delay_days = change.delay_days
    document.planned_postal_date = change.planned_postal_date
    document.parts = [_keep(part, context) for part in change.parts]
    document.withdrawn_at = None
    context.stamp(document, change.sent_at)
    if before is None:
        effect.created(context.workspace.add(document))
    else:
        context.workspace.change(document)
        effect.changed(document, before)


def withdraw_document(change: WithdrawDocument, context: Context, effect: Effect) -> None:
    """Take the document back; where there is none, nothing happens. What it held is kept."""
    document = context.find(Document, change.external_id)
    if document is None or document.withdrawn_at is not None:
        return
    before = facts(document)
    document.withdrawn_at = context.workspace.now
    context.stamp(document, change.sent_at)
    context.workspace.change(document)
    effect.withdrawn(document, before)


def _keep(part: TextPart | Attachment, context: Context) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"media_type": "text/plain", "title": part.title, "text": part.text}
    return {
        "media_type": part.media_type,
        "title": part.title,
        "digest": context.workspace.keep_file(part.content),
        "size": len(part.content),
    }
