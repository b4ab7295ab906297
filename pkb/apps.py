from django.apps import AppConfig


class PkbConfig(AppConfig):
    name = "pkb"
    verbose_name = "Organisations and people"
