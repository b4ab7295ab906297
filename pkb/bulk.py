"""Write many rows of one model by one statement, past the compiler of the ORM.

`bulk_create` looks at every value of every row for expressions that these rows never hold, and
the driver reads a statement of hundreds of placeholders anew each time. Here the statement is made
once for each number of rows: a tenth less CPU where messages are kept (`docs/performance.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg
from django.db import connection, models

Rows = list[tuple[Any, ...]]
MOST_VALUES = 30_000  # in one statement; SQLite takes 32,766 and PostgreSQL 65,535


def insert(rows: Sequence[models.Model], *, replacing: bool = False) -> None:
    """Insert `rows`, all of one model; where it numbers its rows, their keys are filled in.

    `replacing`: a row whose primary key is there already takes its place. Values must be plain.
    """
    if not rows:
        return
    model = type(rows[0])
    most = MOST_VALUES // len(_fields(model))
    if len(rows) > most:
        insert(rows[:most], replacing=replacing)
        insert(rows[most:], replacing=replacing)
        return
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection)
        for row in rows
        for field in _fields(model)
    ]
    keys = _execute(_statement(model, len(rows), replacing, connection.vendor), values)
    for row, (key,) in zip(rows, keys, strict=False):
        row.pk = key


def _execute(statement: str, values: list[Any]) -> Rows:
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as raw:
        raw.execute(statement.encode(), values)
        return raw.fetchall() if raw.description else []


@lru_cache(maxsize=64)
def _fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    numbered = isinstance(model._meta.pk, models.AutoField)
    return [
        field
        for field in model._meta.concrete_fields
        if not (numbered and field.primary_key)  # the database numbers them
    ]


@lru_cache(maxsize=4096)
def _statement(model: type[models.Model], count: int, replacing: bool, vendor: str) -> str:  # noqa: FBT001
    meta, quote, fields = model._meta, connection.ops.quote_name, _fields(model)
    columns, key = [quote(field.column or "") for field in fields], quote(meta.pk.column or "")
    width = len(fields)
    marks = [f"${n + 1}" if vendor == "postgresql" else "%s" for n in range(count * width)]
    tuples = [f"({', '.join(marks[n : n + width])})" for n in range(0, count * width, width)]
    tail = "" if meta.pk in fields else f" RETURNING {key}"
    if replacing:
        news = ", ".join(f"{column} = EXCLUDED.{column}" for column in columns if column != key)
        tail = f" ON CONFLICT ({key}) DO UPDATE SET {news}"
    table = quote(meta.db_table)  # names are our own models': nothing of a message is in them
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join(tuples)}{tail}"  # noqa: S608
