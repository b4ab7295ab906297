from django.apps import AppConfig


class IngestConfig(AppConfig):
    name = "hl7ingest"
    verbose_name = "Messages"
