"""The person a record is about."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from pkb.models import Organisation, Team
from records.models.data_points import Source


class Sex(models.TextChoices):
    """Code set PKBCS01."""

    UNKNOWN = "U", "Unknown"
    MALE = "M", "Male"
    FEMALE = "F", "Female"
    INDETERMINATE = "I", "Indeterminate"


class Patient(models.Model):
    """A person with a record. The primary key is the public id."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    family_name = models.CharField(max_length=255)
    given_name = models.CharField(max_length=255)
    middle_names = models.CharField(max_length=255, blank=True)
    title = models.CharField(max_length=255, blank=True)
    born_on = models.DateField("date of birth", null=True)
    sex = models.CharField(max_length=1, choices=Sex, default=Sex.UNKNOWN)
    address_line_1 = models.CharField(max_length=255, blank=True)
    address_line_2 = models.CharField(max_length=255, blank=True)
    city = models.CharField(max_length=255, blank=True)
    state = models.CharField("county or state", max_length=255, blank=True)
    postcode = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=20, blank=True)
    home_phone = models.CharField(max_length=40, blank=True)
    mobile_phone = models.CharField(max_length=40, blank=True)
    work_phone = models.CharField(max_length=40, blank=True)
    language = models.CharField(max_length=20, blank=True)
    is_deceased = models.BooleanField(default=False)
    died_at = models.DateTimeField(null=True)
    died_precision = models.CharField(max_length=11, blank=True)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+", db_index=False)
    origin = models.ForeignKey(Source, models.PROTECT, related_name="+", db_index=False)
    message_id = models.BigIntegerField("last message", null=True)
    entered_at = models.DateTimeField("demographics sent at (MSH-7)")
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    kind: ClassVar[str] = "patient"
    FACTS: ClassVar[tuple[str, ...]] = (
        "family_name",
        "given_name",
        "middle_names",
        "title",
        "born_on",
        "sex",
        "address_line_1",
        "address_line_2",
        "city",
        "state",
        "postcode",
        "country",
        "home_phone",
        "mobile_phone",
        "work_phone",
        "language",
        "is_deceased",
        "died_at",
        "died_precision",
        "entered_at",
        "source_id",
        "message_id",
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["family_name", "given_name"], name="records_patient_name")
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def name(self) -> str:
        """The name as a letter has it."""
        parts = (self.title, self.given_name, self.middle_names, self.family_name)
        return " ".join(part for part in parts if part)


class PatientEmail(models.Model):
    """An e-mail address of a patient. It stands in one record only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="emails")
    address = models.EmailField(unique=True)
    is_primary = models.BooleanField(default=False)
    confirmed_at = models.DateTimeField(null=True)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+", db_index=False)
    message_id = models.BigIntegerField("message", null=True)
    created_at = models.DateTimeField()

    kind: ClassVar[str] = "e-mail address"
    FACTS: ClassVar[tuple[str, ...]] = ("address", "is_primary", "source_id", "message_id")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["patient"],
                condition=models.Q(is_primary=True),
                name="records_patientemail_one_primary",
            )
        ]

    def __str__(self) -> str:
        return f"e-mail address {self.id}"


class PatientTeam(models.Model):
    """A patient known to a team, and so to its organisation."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="teams")
    team = models.ForeignKey(Team, models.PROTECT, related_name="patients")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+", db_index=False)
    message_id = models.BigIntegerField("message", null=True)
    created_at = models.DateTimeField()

    kind: ClassVar[str] = "team link"
    FACTS: ClassVar[tuple[str, ...]] = ("team_id", "source_id", "message_id")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["patient", "team"], name="records_patientteam_once")
        ]

    def __str__(self) -> str:
        return f"team link {self.id}"
