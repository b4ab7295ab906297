"""The second half: after the answer. Match, then apply to the record or hold for a person.

Workers drain: they lease lanes, and take what waits there, many messages a transaction. Where
one of them fails the transaction is undone and its messages are taken one by one, so that the bad
one fails alone.
"""

from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime, timedelta

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone

from hl7ingest import lanes
from hl7ingest.models import Outcome, QueueEntry
from hl7ingest.settle import finish, forget_expectations, settle
from records.apply import NotApplicable

logger = logging.getLogger(__name__)
State = Outcome.State

MOST = 200  # messages a transaction
PAUSE = 0.2  # seconds after a transaction that was not full: the next one has more in it
MOST_BYTES = 8 * 1024 * 1024
ATTEMPTS = 5
BACKOFF = timedelta(seconds=2)


def drain(*, only: int | None = None, until: datetime | None = None) -> int:
    """Work until nothing is ready, or until a moment; return how many messages were settled.

    `only`: one lane alone, for a person who waits for what she decided.
    """
    done, holder = 0, uuid.uuid4().hex
    while until is None or timezone.now() < until:
        lease = lanes.claim(holder, only)
        if lease is None:
            return done
        try:
            settled = _work(lease)
        except lanes.LeaseLost:
            logger.warning("lease lost", extra={"holder": holder})
            continue
        except (OperationalError, InterfaceError):
            connection.close()  # so that the lanes are given back on a new one
            lanes.release(lease)
            raise
        done += settled
        if until is not None and settled < MOST:
            time.sleep(PAUSE)
    return done


def _work(lease: lanes.Lease) -> int:
    """Settle a share of what is ready in the leased lanes, and give them back."""
    entries = _ready(lease)
    if not lease.careful:
        try:
            with transaction.atomic():
                lanes.hold(lease)
                settled = settle(entries)
                lanes.release(lease)
                return settled
        except (lanes.LeaseLost, InterfaceError):
            raise
        except Exception as error:  # noqa: BLE001  (one fails: which one is found below)
            logger.info("batch undone", extra={"raised": type(error).__name__})
    settled = sum(_alone(lease, entry) for entry in entries)
    lanes.release(lease)
    return settled


def _ready(lease: lanes.Lease) -> list[QueueEntry]:
    """Return what is ready in the leased lanes, in order, and not more than one transaction."""
    found = lanes.ready(timezone.now()).filter(lane__in=lease.lanes).select_related("message")
    entries: list[QueueEntry] = []
    size = 0
    for entry in found[:MOST]:
        if entries and size + entry.message.size > MOST_BYTES:
            break
        size += entry.message.size
        entries.append(entry)
    return entries


def _alone(lease: lanes.Lease, entry: QueueEntry) -> int:
    """Settle one message in a transaction of its own; count the attempt before it is made."""
    if _is_blocked(entry):
        return 0
    attempts = entry.attempts + 1
    if not QueueEntry.objects.filter(pk=entry.pk).update(attempts=attempts):
        return 0
    reason, error_id = "", ""
    try:
        if attempts > ATTEMPTS:
            raise _TooOften
        with transaction.atomic():
            lanes.hold(lease)
            return settle([entry])
    except NotApplicable as error:
        state, reason = State.REJECTED, error.reason
    except _TooOften:
        state, reason, error_id = State.FAILED, "tried-too-often", uuid.uuid4().hex
        logger.exception("message given up", extra={"message_id": entry.pk, "error_id": error_id})
    except (lanes.LeaseLost, InterfaceError):
        raise
    except (OperationalError, IntegrityError) as error:  # another attempt may mend it
        logger.warning(
            "message will be tried again",
            extra={"message_id": entry.pk, "attempts": attempts, "raised": type(error).__name__},
        )
        again = timezone.now() + BACKOFF * 2 ** (attempts - 1)
        QueueEntry.objects.filter(pk=entry.pk).update(ready_at=again)
        return 0
    except Exception:
        state, reason, error_id = State.FAILED, "internal-error", uuid.uuid4().hex
        logger.exception("message failed", extra={"message_id": entry.pk, "error_id": error_id})
    with transaction.atomic():
        lanes.hold(lease)
        finish([Outcome(message_id=entry.pk, state=state, reason=reason, error_id=error_id)])
        forget_expectations([entry.patient_id])
    return 1


class _TooOften(Exception):
    """The message was tried as often as it may be, and each time the hand died or gave up."""


def _is_blocked(entry: QueueEntry) -> bool:
    """Return whether an earlier message of the same patient waits for another attempt."""
    return QueueEntry.objects.filter(
        patient_id=entry.patient_id, pk__lt=entry.pk, ready_at__gt=timezone.now()
    ).exists()
