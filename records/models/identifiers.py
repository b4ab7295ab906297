"""The kinds of identifier, and the identifiers of patients. Kinds are rows, not code."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from pkb.models import Configured, Organisation, Team
from records.models.data_points import Source
from records.models.patient import Patient


class IdentifierType(Configured):
    """An agreed pair of assigning authority and type code."""

    class Scope(models.TextChoices):
        """Where an identifier of the type is unique."""

        SYSTEM = "system", "System (the public id)"
        EMAIL = "email", "E-mail address"
        NATIONAL = "national", "National"
        ORGANISATION = "organisation", "Organisation"
        TEAM = "team", "Team"

    class CheckDigit(models.TextChoices):
        """How a value is checked."""

        NONE = "none", "Not checked"
        NHS = "nhs", "Modulus 11, ten digits (NHS, CHI, H&C)"

    name = models.CharField(max_length=100)
    authority = models.CharField(
        "assigning authority", max_length=60, help_text="PID-3.4. * means any (local types only)."
    )
    type_code = models.CharField(max_length=60, help_text="PID-3.5, without {status:NN}.")
    scope = models.CharField(max_length=12, choices=Scope)
    country = models.CharField(max_length=10, blank=True)
    check_digit = models.CharField(max_length=5, choices=CheckDigit, default=CheckDigit.NONE)
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, null=True, blank=True, related_name="identifier_types"
    )
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["scope", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["authority", "type_code"],
                condition=Q(organisation=None),
                name="records_identifiertype_once",
                violation_error_message="There is such a type already.",
            ),
            models.UniqueConstraint(
                fields=["authority", "type_code", "organisation"],
                condition=Q(organisation__isnull=False),
                name="records_identifiertype_once_local",
                violation_error_message="The organisation has such a type already.",
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["organisation", "team"], organisation__isnull=False)
                | Q(scope__in=["system", "email", "national"], organisation=None, team=None),
                name="records_identifiertype_local_has_organisation",
                violation_error_message="A local type belongs to an organisation; others to none.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if "*" in self.type_code or (self.authority == "*" and self.organisation is None):
            raise ValidationError("Only the authority of a local type may be *.")
        if self.team and self.team.organisation_id != self.organisation_id:
            raise ValidationError({"team": "This team is of another organisation."})


class PatientIdentifier(models.Model):
    """One identifier of a patient."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="identifiers")
    type = models.ForeignKey(
        IdentifierType, models.PROTECT, related_name="identifiers", db_index=False
    )
    value = models.CharField(max_length=100)
    status = models.CharField(
        max_length=2, blank=True, help_text="The verification status that was sent; 01 is verified."
    )
    is_national = models.BooleanField(default=False)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+", db_index=False)
    message_id = models.BigIntegerField("message", null=True)
    created_at = models.DateTimeField()

    kind: ClassVar[str] = "identifier"
    FACTS: ClassVar[tuple[str, ...]] = ("type_id", "value", "status", "source_id", "message_id")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["type", "value"], name="records_identifier_once"),
            models.UniqueConstraint(
                fields=["patient", "type"],
                condition=Q(is_national=True),
                name="records_identifier_one_national",
            ),
        ]

    def __str__(self) -> str:
        return f"identifier {self.id}"
