"""Who exists: organisations, their teams, the people in them, and what they did."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F

from pkb.zones import ZONES

ALIAS = RegexValidator(
    r"^[A-Za-z0-9._-]+\Z", "Letters, digits, dot, hyphen and underscore only: it stands in MSH-4."
)


class ConfigurationVersion(models.Model):
    """One row that counts the changes of the configuration; see `pkb.configuration`."""

    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.version)


class Configured(models.Model):
    """A row that decides what a message may do: every change of it is noticed within a second.

    So that none is missed, `QuerySet.update()` is not used on these (a test holds this).
    """

    class Meta:
        abstract = True

    @transaction.atomic
    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        configuration_changed()

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        deleted = super().delete(*args, **kwargs)
        configuration_changed()
        return deleted


def configuration_changed() -> None:
    """Let every process read its configuration anew."""
    if not ConfigurationVersion.objects.filter(pk=1).update(version=F("version") + 1):
        ConfigurationVersion.objects.get_or_create(pk=1, defaults={"version": 1})


class SoftMatchField(models.TextChoices):
    """What a Customer may have compared, after the identifiers matched."""

    DATE_OF_BIRTH = "date_of_birth", "Date of birth"
    FAMILY_NAME = "family_name", "Family name"
    GIVEN_NAME = "given_name", "Given name"
    INITIAL = "initial", "Initial of the given name"
    SEX = "sex", "Sex"
    POSTCODE = "postcode", "Postcode"


def default_soft_match() -> list[str]:
    """Date of birth alone, as published."""
    return [SoftMatchField.DATE_OF_BIRTH.value]


def is_time_zone(value: str) -> None:
    """Refuse a name that is no time zone."""
    if value not in ZONES:
        raise ValidationError("%(value)s is not a time zone", params={"value": value})


class Organisation(Configured):
    """A Customer, the data controller of what is sent under its name; or a no-access sender."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, unique=True)
    time_zone = models.CharField(
        max_length=60,
        default="Europe/London",
        validators=[is_time_zone],
        help_text="For times that a message gives without an offset.",
    )
    is_active = models.BooleanField(default=True, help_text="Whether it may send, or be sent for.")
    has_access = models.BooleanField(
        "manages patients",
        default=True,
        help_text="Off: a “no access” sender, which adds to records and sees nothing.",
    )
    default_team = models.ForeignKey(
        "Team",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The team that new records are created under.",
    )
    soft_match_fields = models.JSONField(
        default=default_soft_match,
        blank=True,
        help_text="What must agree with the record, besides the identifiers.",
    )
    checks_status = models.BooleanField(
        "checks NHS number status",
        default=False,
        help_text="Demographics whose national number is not verified (01) wait for a person.",
    )
    auto_create = models.BooleanField(
        default=False,
        help_text="Any message with a verified national number may start a record.",
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        unknown = set(self.soft_match_fields or []) - set(SoftMatchField.values)
        if unknown:
            raise ValidationError({"soft_match_fields": f"Unknown: {', '.join(sorted(unknown))}"})
        if self.default_team and not self.has_access:
            raise ValidationError({"default_team": "A no-access sender has no patients."})
        if self.default_team and self.default_team.organisation_id != self.pk:
            raise ValidationError({"default_team": "This team is of another organisation."})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)


class Team(Configured):
    """A team of an organisation."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="teams")
    name = models.CharField(max_length=200)
    time_zone = models.CharField(
        max_length=60,
        blank=True,
        validators=[is_time_zone],
        help_text="Empty: the organisation's.",
    )

    class Meta:
        ordering: ClassVar = ["organisation__name", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "name"], name="pkb_team_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.organisation})"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone; the organisation's where the team has none."""
        return ZoneInfo(self.time_zone or self.organisation.time_zone)


class TeamAlias(Configured):
    """A name in MSH-4 by which a Customer sends as one of its teams."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="aliases")
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, related_name="team_aliases", editable=False
    )
    value = models.CharField("alias", max_length=60, validators=[ALIAS])

    class Meta:
        verbose_name_plural = "team aliases"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "value"], name="pkb_teamalias_value")
        ]

    def __str__(self) -> str:
        return self.value

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.organisation_id = self.team.organisation_id
        super().save(*args, **kwargs)


class UserManager(DjangoUserManager["User"]):
    """Makes users; who is made on the command line runs the platform."""

    use_in_migrations = False

    def create_superuser(
        self,
        username: str,
        email: str | None = None,
        password: str | None = None,
        **extra_fields: Any,
    ) -> User:
        return super().create_superuser(
            username, email, password, **{"is_platform_staff": True} | extra_fields
        )


class User(AbstractUser):
    """A person who signs in."""

    is_platform_staff = models.BooleanField(
        default=False, help_text="Runs the platform: credentials, grants, the health of the feeds."
    )

    objects: ClassVar[UserManager] = UserManager()


class Membership(models.Model):
    """A person's part in an organisation."""

    class Role(models.TextChoices):
        """What a member may do."""

        ADMINISTRATOR = "administrator", "Organisation Administrator"

    user = models.ForeignKey(User, models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.ADMINISTRATOR)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "organisation", "role"], name="pkb_membership_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.organisation}"


class AuditEvent(models.Model):
    """One line of the audit trail. No foreign keys: it outlives what it tells of."""

    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120)
    actor = models.CharField(max_length=150)
    organisation = models.BigIntegerField("organisation id", null=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["target"], name="pkb_audit_target"),
            models.Index(fields=["organisation", "-id"], name="pkb_audit_organisation"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
