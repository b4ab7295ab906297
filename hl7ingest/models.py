"""The messages we were given, what waits, what became of each, and what a person decided."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from partners.models import Credential, Grant, Partner
from pkb.models import Organisation, Team, User
from records.models import IdentifierType
from records.models.data_points import source_line

LANES = 256


def lane_of(patient_id: uuid.UUID) -> int:
    """Return the lane in which everything about one patient goes, one after the other."""
    return patient_id.int % LANES


class InboundMessage(models.Model):
    """A message we answered with AA: appended, never rewritten. The id is the order of effect.

    `patient_id` is the record it was accepted for, which an accepted A28 may yet have to start.
    """

    received_at = models.DateTimeField()
    credential = models.ForeignKey(Credential, models.PROTECT, related_name="+", db_index=False)
    address = models.GenericIPAddressField(null=True)
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, related_name="+", db_index=False
    )
    connecting = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="+", db_index=False)
    team = models.ForeignKey(Team, models.PROTECT, null=True, related_name="+", db_index=False)
    grant = models.ForeignKey(Grant, models.PROTECT, null=True, related_name="+", db_index=False)
    control_id = models.CharField("MSH-10", max_length=199)
    type = models.CharField("MSH-9", max_length=15)
    sent_at = models.DateTimeField("MSH-7")
    patient_id = models.UUIDField("record")
    point_kind = models.CharField(max_length=20, blank=True)
    point_id = models.CharField("data point id", max_length=200, blank=True)
    size = models.PositiveIntegerField("bytes")
    terms = models.JSONField()  # what the configuration said when it was accepted
    ignored = models.JSONField(default=list)  # identifiers of unknown types, by kind only

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["control_id"], name="hl7ingest_control_id"),
            models.Index(fields=["controller", "-id"], name="hl7ingest_controller"),
            models.Index(fields=["patient_id", "id"], name="hl7ingest_patient"),
            models.Index(fields=["received_at"], name="hl7ingest_received_at"),
            models.Index(fields=["point_id"], condition=~Q(point_id=""), name="hl7ingest_point_id"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.control_id}"

    @property
    def source_line(self) -> str:
        """Who sent it, for whom."""
        return source_line(self.partner, self.connecting, self.controller)


class MessageBody(models.Model):
    """The bytes of a message as they came, and the codec that reads them."""

    message = models.OneToOneField(
        InboundMessage, models.PROTECT, primary_key=True, related_name="body"
    )
    raw = models.BinaryField()
    charset = models.CharField(max_length=20)

    def __str__(self) -> str:
        return f"body of message {self.pk}"


class Receipt(models.Model):
    """What makes the same bytes of the same sender one message: SHA-256 over both."""

    key = models.BinaryField(primary_key=True, max_length=32)
    message = models.ForeignKey(
        InboundMessage, models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    def __str__(self) -> str:
        return f"receipt of message {self.message_id}"


class Expected(models.Model):
    """An identifier that an accepted message will put in a record, and in which one."""

    type = models.ForeignKey(IdentifierType, models.PROTECT, related_name="+", db_index=False)
    value = models.CharField(max_length=254)
    patient_id = models.UUIDField(db_index=True)
    team_id = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["type", "value"], name="hl7ingest_expected_once")
        ]

    def __str__(self) -> str:
        return f"expected identifier {self.pk}"


class QueueEntry(models.Model):
    """A message that waits to be applied. Narrow, and gone when the message has an outcome."""

    message = models.OneToOneField(
        InboundMessage, models.PROTECT, primary_key=True, related_name="queued"
    )
    lane = models.PositiveSmallIntegerField()
    patient_id = models.UUIDField()
    controller_id = models.BigIntegerField()
    point_kind = models.CharField(max_length=20, blank=True)
    point_id = models.CharField(max_length=200, blank=True)
    approved = models.BooleanField(default=False)  # a person, or a later message, vouches for it
    is_late = models.BooleanField(default=False)  # it had an outcome before: others may be ahead
    attempts = models.PositiveSmallIntegerField(default=0)
    ready_at = models.DateTimeField(null=True)  # when to try again

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["lane", "message"], name="hl7ingest_queue_lane"),
            models.Index(fields=["point_id", "controller_id"], name="hl7ingest_queue_point"),
            models.Index(fields=["patient_id"], name="hl7ingest_queue_patient"),
        ]

    def __str__(self) -> str:
        return f"waiting message {self.pk}"

    @classmethod
    def of(
        cls, message: InboundMessage, *, approved: bool = False, is_late: bool = False
    ) -> QueueEntry:
        """Return the entry that makes `message` wait in its place; the caller saves it."""
        return cls(
            message_id=message.pk,
            lane=lane_of(message.patient_id),
            patient_id=message.patient_id,
            controller_id=message.controller_id,
            point_kind=message.point_kind,
            point_id=message.point_id,
            approved=approved,
            is_late=is_late,
        )


class Lane(models.Model):
    """One of the fixed number of lanes, and the hand that is in it."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    holder = models.CharField(max_length=64, blank=True)
    leased_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"lane {self.pk}"


class Outcome(models.Model):
    """What became of a message that waits no longer, and its effect on the record."""

    class State(models.TextChoices):
        """Each has an owner: nobody, the Customer's administrator, staff, nobody."""

        APPLIED = "applied", "Applied"
        HELD = "held", "Held for a person"
        FAILED = "failed", "Failed, staff look at it"
        REJECTED = "rejected", "Rejected"

    message = models.OneToOneField(
        InboundMessage, models.PROTECT, primary_key=True, related_name="outcome"
    )
    state = models.CharField(max_length=8, choices=State)
    reason = models.CharField(max_length=40, blank=True)  # its class, such as "soft-match"
    error_id = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField()
    effect = models.JSONField(default=list)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["state", "message"],
                condition=Q(state__in=["held", "failed"]),
                name="hl7ingest_outcome_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.pk}"


class HeldMessage(models.Model):
    """A message in doubt, waiting for the Customer's Organisation Administrator."""

    class Cause(models.TextChoices):
        """Why it waits."""

        SOFT_MATCH = "soft-match", "The demographics do not agree with the record"
        STATUS = "number-status", "The national number is not verified"
        AWAITS_RECORD = "awaits-record", "The message that starts its record is held"

    class Verdict(models.TextChoices):
        """How it stopped waiting."""

        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        RELEASED = "released", "Released by a later message that agreed"

    message = models.OneToOneField(
        InboundMessage, models.PROTECT, primary_key=True, related_name="held"
    )
    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    patient_id = models.UUIDField()
    point_kind = models.CharField(max_length=20, blank=True)
    point_id = models.CharField(max_length=200, blank=True)
    cause = models.CharField(max_length=20, choices=Cause)
    reasons = models.JSONField(default=list)  # [{"field", "label", "reason"}], no values
    held_at = models.DateTimeField()
    verdict = models.CharField(max_length=8, choices=Verdict, blank=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    why = models.CharField("note", max_length=500, blank=True)
    released_by = models.BigIntegerField("message that released it", null=True)

    class Meta:
        ordering: ClassVar = ["message_id"]
        indexes: ClassVar = [
            models.Index(
                fields=["controller", "point_id"],
                condition=Q(decided_at=None),
                name="hl7ingest_held_open",
            ),
            models.Index(fields=["patient_id"], name="hl7ingest_held_patient"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(verdict="", decided_at=None, decided_by=None)
                | Q(verdict="released", decided_at__isnull=False, decided_by=None)
                | Q(
                    verdict__in=["approved", "rejected"],
                    decided_at__isnull=False,
                    decided_by__isnull=False,
                ),
                name="hl7ingest_held_verdict_at_and_by",
            )
        ]

    def __str__(self) -> str:
        return f"held message {self.pk}"


class Decision(models.Model):
    """What a person decided about a data point of one patient: it holds for later messages."""

    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    patient_id = models.UUIDField()
    point_kind = models.CharField(max_length=20)
    point_id = models.CharField(max_length=200)
    approves = models.BooleanField()
    decided_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    message = models.ForeignKey(InboundMessage, models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["controller", "point_kind", "point_id", "patient_id"],
                name="hl7ingest_decision_once",
            )
        ]

    def __str__(self) -> str:
        return f"decision {self.pk}"


class Refusal(models.Model):
    """A message, or a call, that we refused, by which rule. Holds nothing of the message's."""

    at = models.DateTimeField()
    credential = models.ForeignKey(
        Credential, models.PROTECT, null=True, related_name="+", db_index=False
    )
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, related_name="+", db_index=False
    )
    sender = models.ForeignKey(
        Organisation, models.PROTECT, null=True, related_name="+", db_index=False
    )
    controller = models.ForeignKey(
        Organisation, models.PROTECT, null=True, related_name="+", db_index=False
    )
    address = models.GenericIPAddressField(null=True)
    answer = models.CharField(max_length=4)  # AR, AE, or the HTTP status
    code = models.CharField(max_length=60)
    rule = models.CharField(max_length=200, blank=True)
    location = models.CharField(max_length=30, blank=True)
    control_id = models.CharField("MSH-10", max_length=199, blank=True)
    type = models.CharField("MSH-9", max_length=15, blank=True)
    error_id = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["controller", "-id"], name="hl7ingest_refusal_controller"),
            models.Index(fields=["control_id"], name="hl7ingest_refusal_control_id"),
        ]

    def __str__(self) -> str:
        return f"{self.answer} {self.code}"
