"""The lanes, and a queue table that PostgreSQL tidies as often as it changes."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

LANES = 256


def make_lanes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    lane = apps.get_model("hl7ingest", "Lane")
    lane.objects.bulk_create([lane(pk=number) for number in range(LANES)], ignore_conflicts=True)


def vacuum_often(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in ("hl7ingest_queueentry", "hl7ingest_expected", "hl7ingest_lane"):
            schema_editor.execute(
                f"ALTER TABLE {table} SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, "
                "autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0, "
                "autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 0)"
            )


class Migration(migrations.Migration):
    dependencies = [("hl7ingest", "0001_initial")]

    operations = [
        migrations.RunPython(make_lanes, migrations.RunPython.noop),
        migrations.RunPython(vacuum_often, migrations.RunPython.noop),
    ]
