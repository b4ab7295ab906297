"""The feeds' figures on the admin's home page: how long anything has waited, and for whom."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from hl7ingest.models import HeldMessage, Outcome, QueueEntry
from pkb.permissions import administered_organisations, is_platform_staff
from pkb.site import Figure, Site, Tone

LATE, TOO_LATE = timedelta(minutes=1), timedelta(minutes=10)


def oldest_waiting(request: HttpRequest) -> Figure | None:
    """How long the oldest message that is not applied yet has waited; for staff."""
    if not is_platform_staff(request.user):
        return None
    link = reverse("admin:hl7ingest_inboundmessage_changelist") + "?state=received"
    since = (
        QueueEntry.objects.order_by("message_id")
        .values_list("message__received_at", flat=True)
        .first()
    )
    if since is None:
        return Figure("Oldest waiting", "none", link, hint="Everything received is settled.")
    age = timezone.now() - since
    tone: Tone = "alarm" if age > TOO_LATE else "attention" if age > LATE else "calm"
    return Figure("Oldest waiting", _age(since), link, tone, "The oldest message not yet applied.")


def held(request: HttpRequest) -> Figure | None:
    """How many messages wait for a decision: hers for an administrator, all for staff."""
    rows = HeldMessage.objects.filter(decided_at=None)
    if not is_platform_staff(request.user):
        rows = rows.filter(controller__in=administered_organisations(request.user))
    link = reverse("admin:hl7ingest_heldmessage_changelist") + "?decision=open"
    oldest = rows.order_by("held_at").values_list("held_at", flat=True).first()
    if oldest is None:
        return Figure("Held for a decision", "0", link, hint="Nothing waits for a decision.")
    hint = f"The oldest has waited {_age(oldest)}."
    return Figure("Held for a decision", f"{rows.count():,}", link, "attention", hint)


def failed(request: HttpRequest) -> Figure | None:
    """How many messages failed; for staff."""
    if not is_platform_staff(request.user):
        return None
    rows = Outcome.objects.filter(state=Outcome.State.FAILED)
    link = reverse("admin:hl7ingest_inboundmessage_changelist") + "?state=failed"
    oldest = rows.order_by("message_id").values_list("at", flat=True).first()
    if oldest is None:
        return Figure("Failed", "0", link, hint="No message has failed.")
    return Figure("Failed", f"{rows.count():,}", link, "alarm", f"The oldest: {_age(oldest)} ago.")


def _age(since: datetime) -> str:
    return timesince(since, depth=1).replace("\xa0", " ")


for figure in (oldest_waiting, held, failed):
    cast("Site", admin.site).add_figure(figure)
