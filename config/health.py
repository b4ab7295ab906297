"""Is the process alive, and can it do its work?"""

from typing import Any

from celery import current_app
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from hl7ingest.models import QueueEntry


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process serves."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 where the database, its migrations and the broker are there, else 503.

    `oldest_waiting_seconds` is the age of the oldest message that is not applied yet; null when
    none waits. It is told, not judged: an old one is for an alarm, not for the load balancer.
    """
    found: dict[str, Any] = {"database": False, "migrations": False, "broker": _broker()}
    try:
        executor = MigrationExecutor(connection)
        found["database"] = True
        found["migrations"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        found["oldest_waiting_seconds"] = oldest_waiting()
    except DatabaseError:
        connection.close()
    ready = all(found[name] for name in ("database", "migrations", "broker"))
    return JsonResponse({"ready": ready} | found, status=200 if ready else 503)


def oldest_waiting() -> float | None:
    """Return the age in seconds of the oldest message that waits for a worker."""
    oldest = (
        QueueEntry.objects.order_by("message_id")
        .values_list("message__received_at", flat=True)
        .first()
    )
    return round((timezone.now() - oldest).total_seconds(), 3) if oldest else None


def _broker() -> bool:
    try:
        with current_app.connection_for_write(connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception:  # noqa: BLE001  (whatever a transport raises, the broker is not there)
        return False
    return True
