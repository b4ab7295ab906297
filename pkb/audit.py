"""Write the audit trail. Call inside the transaction that makes the change."""

from django.db import models

from pkb.models import AuditEvent, Organisation, User


def record(
    action: str,
    target: models.Model,
    *,
    by: User | None,
    organisation: Organisation | None = None,
    **detail: str | int | bool | None,
) -> AuditEvent:
    """Note that `by` (None: the system) did `action` to `target`; ids only, nobody's data."""
    return AuditEvent.objects.create(
        action=action,
        target=f"{target._meta.label}:{target.pk}",
        actor=by.get_username() if by else "system",
        organisation=organisation.pk if organisation else None,
        detail=detail,
    )
