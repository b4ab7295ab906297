"""Celery's way in to `process`. No rules here."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from hl7ingest import process

LONGEST = timedelta(seconds=20)  # then the next wake-up, or the sweep, goes on


@shared_task
def drain() -> int:
    """Settle what is waiting; a wake-up by the door, and the sweep of the schedule."""
    return process.drain(until=timezone.now() + LONGEST)
