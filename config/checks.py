"""What must hold of the settings, each with an id and a hint."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.checks import register as register_check
from django.db import connection


def register() -> None:
    """Add these checks to Django's."""
    register_check(settings_are_right)
    register_check(commits_are_durable, "database")


def settings_are_right(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Return what is wrong with the settings."""
    found: list[CheckMessage] = []
    if not settings.EMBEDDED and not settings.SECRET_KEY_FROM_ENVIRONMENT:
        found.append(
            Error(
                "SECRET_KEY is not set, but DATABASE_URL is.",
                hint="Set SECRET_KEY to one long random value, the same in every process.",
                id="pkb.E001",
            )
        )
    for proxy in settings.TRUSTED_PROXIES:
        try:
            ip_network(proxy)
        except ValueError:
            found.append(
                Error(
                    f"TRUSTED_PROXIES holds {proxy!r}, which is no address or CIDR block.",
                    hint="Write addresses such as 10.0.0.7, or blocks such as 10.0.0.0/24.",
                    id="pkb.E002",
                )
            )
    if settings.HL7_MAX_BYTES < 1024:
        found.append(
            Error(
                "HL7_MAX_BYTES is too small for any message.",
                hint="It is a number of bytes; the default is 20971520.",
                id="pkb.E003",
            )
        )
    return found


def commits_are_durable(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Return what is wrong with a database that may forget what it said it had committed."""
    if not databases or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings "
            "WHERE setting = 'off' "
            "AND name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum')"
        )
        off = [name for name, _ in cursor.fetchall()]
    return [_off(name) for name in off]


def _off(name: str) -> CheckMessage:
    hint = f"Set {name} = on in postgresql.conf."
    if name == "autovacuum":
        return Warning(
            "PostgreSQL runs with autovacuum=off: the queue will slow down.",
            hint=hint,
            id="pkb.W005",
        )
    return Error(
        f"PostgreSQL runs with {name}=off: an acknowledged message could be lost.",
        hint=hint,
        id="pkb.E004",
    )
