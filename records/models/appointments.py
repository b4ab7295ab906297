"""Appointments. Source: hl7-api, SIU appointments."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from records.models.data_points import DataPoint


class Appointment(DataPoint):
    """A meeting of the patient with an organisation."""

    class Status(models.TextChoices):
        """What became of it; a past active one is taken as attended."""

        ACTIVE = "ACTIVE", "Active"
        CANCELLED = "CANCELLED", "Cancelled"
        DNA = "DNA", "Did not attend"

    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)
    subject = models.CharField(max_length=255, default="Appointment")
    type_code = models.CharField(max_length=255, blank=True)
    type_system = models.CharField(max_length=255, blank=True)
    starts_at = models.DateTimeField()
    starts_precision = models.CharField(max_length=11)
    ends_at = models.DateTimeField(null=True)
    ends_precision = models.CharField(max_length=11, blank=True)
    description = models.TextField(blank=True)
    location = models.CharField(max_length=255)
    specialty = models.CharField(max_length=255, blank=True)
    participants = models.JSONField(default=list)
    management_url = models.CharField(max_length=2000, blank=True)

    kind: ClassVar[str] = "appointment"
    FACTS: ClassVar[tuple[str, ...]] = (
        "external_id",
        "status",
        "subject",
        "type_code",
        "type_system",
        "starts_at",
        "starts_precision",
        "ends_at",
        "ends_precision",
        "description",
        "location",
        "specialty",
        "participants",
        "management_url",
        "entered_at",
        "source_id",
        "message_id",
    )

    class Meta(DataPoint.Meta):
        abstract = False
        ordering: ClassVar = ["-starts_at"]
