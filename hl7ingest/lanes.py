"""One patient, one lane, one hand at a time: who may work on what waits.

A hand leases lanes by an update that two hands cannot win together, and holds their rows locked
while it writes. A hand that dies leaves its lease to lapse; the next one knows by the lapsed lease
that something in the lane may be deadly, and takes its messages one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from hl7ingest.models import Lane, QueueEntry

LEASE = timedelta(seconds=10)  # a longer transaction is safe: its lanes stay locked
LANES_AT_ONCE = 64
LOOK_AHEAD = 400  # waiting messages among which lanes are chosen


class LeaseLost(Exception):
    """The lease lapsed while the hand was busy, and another hand has the lane now."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lanes that a hand holds."""

    holder: str
    lanes: tuple[int, ...]
    careful: bool  # an earlier hand died in one of them


def ready(now: datetime) -> QuerySet[QueueEntry]:
    """Return what may be worked on, in order.

    While a message waits for another attempt, later ones of its patient wait with it.
    """
    later = QueueEntry.objects.filter(ready_at__gt=now).values("patient_id")
    return (
        QueueEntry.objects.filter(Q(ready_at=None) | Q(ready_at__lte=now))
        .exclude(patient_id__in=later)
        .order_by("message_id")
    )


def claim(holder: str, only: int | None = None) -> Lease | None:
    """Lease lanes in which something waits, oldest first; None where there is nothing to do."""
    now = timezone.now()
    taken = Lane.objects.filter(leased_until__gt=now).values("pk")
    waiting = ready(now).exclude(lane__in=taken).values_list("lane", flat=True)
    if only is not None:
        waiting = waiting.filter(lane=only)
    wanted = list(dict.fromkeys(waiting[:LOOK_AHEAD]))[:LANES_AT_ONCE]
    if not wanted:
        return None
    with transaction.atomic():
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        lanes = list(Lane.objects.select_for_update(skip_locked=True).filter(free, pk__in=wanted))
        # A lapsed lease may be one lane's alone: then that lane goes alone, and carefully
        lapsed = [lane for lane in lanes if lane.holder]
        lanes = lapsed[:1] or lanes
        Lane.objects.filter(pk__in=[lane.pk for lane in lanes]).update(
            holder=holder, leased_until=now + LEASE
        )
    if not lanes:
        return None
    return Lease(holder, tuple(sorted(lane.pk for lane in lanes)), careful=bool(lapsed))


def hold(lease: Lease) -> None:
    """Lock the leased lanes until the transaction ends, or raise `LeaseLost`.

    While they are locked no other hand can lease them, however long the transaction takes.
    """
    held = Lane.objects.select_for_update().filter(pk__in=lease.lanes, holder=lease.holder)
    if len(list(held.order_by("pk"))) != len(lease.lanes):
        raise LeaseLost


def release(lease: Lease) -> None:
    """Give the lanes back."""
    Lane.objects.filter(pk__in=lease.lanes, holder=lease.holder).update(
        holder="", leased_until=None
    )
