"""The only writers of records: one module for each family of data.

A writer changes the workspace and notes the effect. It is called before a decision as a
rehearsal, and after it in earnest; the difference is whether the workspace is written.
"""

from collections.abc import Callable
from typing import Any

from records.apply import appointments, demographics, documents
from records.apply.context import Context, NotApplicable
from records.changes import Change, PutAppointment, PutDocument, UpdatePatient, WithdrawDocument
from records.effects import Effect

_WRITERS: dict[type, Callable[[Any, Context, Effect], None]] = {
    UpdatePatient: demographics.update_patient,
    PutAppointment: appointments.put_appointment,
    PutDocument: documents.put_document,
    WithdrawDocument: documents.withdraw_document,
}


def apply(change: Change, context: Context) -> Effect:
    """Make `change` in the workspace, and return what it did.

    Raises `NotApplicable` where the record, as it is now, does not allow it; the workspace must
    then be thrown away.
    """
    effect = Effect()
    if context.may_create and context.workspace.patient(context.patient_id) is None:
        demographics.start_record(change.patient, change.sent_at, context, effect)
    if context.links_teams:
        demographics.link_team(context, effect)
    _WRITERS[type(change)](change, context, effect)
    return effect


__all__ = ["Context", "NotApplicable", "apply"]
