"""What every piece of a record has: whose it is, under which id, and where it came from."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from partners.models import Partner
from pkb.models import Organisation, Team


def source_line(partner: Partner | None, connecting: Organisation, controller: Organisation) -> str:
    """Return who sent, for whom, in the published words."""
    if connecting != controller:
        return f"{connecting} on behalf of {controller}"
    return f"{partner} on behalf of {controller}" if partner else str(controller)


class Source(models.Model):
    """Who sent, for whom: what the patient reads as the source of a data point."""

    partner = models.ForeignKey(Partner, models.PROTECT, null=True, related_name="+")
    connecting = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    team = models.ForeignKey(Team, models.PROTECT, null=True, related_name="+")
    key = models.CharField(max_length=100, unique=True, editable=False)  # the four ids above

    def __str__(self) -> str:
        return source_line(self.partner, self.connecting, self.controller)


class DataPoint(models.Model):
    """Something that a Customer, or a partner on its behalf, put in a record.

    A Customer and its partners share one namespace of `external_id`, so it is unique by
    controller, never by partner.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey("records.Patient", models.PROTECT)
    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    external_id = models.CharField(max_length=200)
    origin = models.ForeignKey(  # who created it, and so whose it is to amend
        Source, models.PROTECT, related_name="+", db_index=False
    )
    source = models.ForeignKey(  # who sent what it says now
        Source, models.PROTECT, related_name="+", db_index=False
    )
    message_id = models.BigIntegerField("last message", null=True)
    entered_at = models.DateTimeField("sent at (MSH-7)")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    kind: ClassVar[str]
    FACTS: ClassVar[tuple[str, ...]]

    class Meta:
        abstract = True
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["controller", "external_id"], name="%(app_label)s_%(class)s_external_id"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.external_id}"
