"""Documents. Source: hl7-api, MDM documents; delayed release."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from records.models.data_points import DataPoint

# Code set PKBCS05; any other code is shown as it came
DOCUMENT_TYPES = {
    "AL": "Appointment letter",
    "AN": "Alert notification",
    "BR": "Birth report",
    "CL": "Clinic letter",
    "DL": "Discharge letter",
    "DS": "Discharge summary",
    "MDT": "Multidisciplinary team meeting notes",
    "RL": "Referral letter",
    "TCI": "Admission (TCI) letter",
}


class Document(DataPoint):
    """A letter or report. `parts` are its texts and attachments in order.

    A part is `{"media_type", "title", "text"}`, or `{"media_type", "title", "digest", "size"}`
    where the content is a file; see `records.attachments`.
    """

    type_code = models.CharField(max_length=50)
    written_at = models.DateTimeField()
    written_precision = models.CharField(max_length=11)
    author = models.CharField(max_length=255, blank=True)
    file_name = models.CharField(max_length=150, blank=True)
    patient_class = models.CharField(max_length=50, blank=True)
    specialty = models.CharField(max_length=255, blank=True)
    delay_days = models.PositiveSmallIntegerField(default=0)
    planned_postal_date = models.DateField(null=True)
    parts = models.JSONField(default=list)
    withdrawn_at = models.DateTimeField(null=True)

    kind: ClassVar[str] = "document"
    FACTS: ClassVar[tuple[str, ...]] = (
        "external_id",
        "type_code",
        "written_at",
        "written_precision",
        "author",
        "file_name",
        "patient_class",
        "specialty",
        "delay_days",
        "planned_postal_date",
        "parts",
        "withdrawn_at",
        "entered_at",
        "source_id",
        "message_id",
    )

    class Meta(DataPoint.Meta):
        abstract = False
        ordering: ClassVar = ["-written_at"]

    @property
    def type_name(self) -> str:
        """The type in words."""
        return DOCUMENT_TYPES.get(self.type_code, self.type_code)
