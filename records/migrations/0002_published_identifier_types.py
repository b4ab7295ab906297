from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from records.published_types import install


def forwards(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    install(apps.get_model("records", "IdentifierType"))


class Migration(migrations.Migration):
    dependencies = [("records", "0001_initial")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
