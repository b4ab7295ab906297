"""Load the demonstration data into an empty database."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demonstration
from pkb.models import Organisation


class Command(BaseCommand):
    help = "Load the demonstration data into an empty database."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("Demonstration data is for a sandbox: set SANDBOX=true.")
        if Organisation.objects.exists():
            raise CommandError("The database is not empty. Nothing was changed.")
        demonstration.load()
        self.stdout.write("Demonstration data loaded.")
