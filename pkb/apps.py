from django.apps import AppConfig


class PkbConfig(AppConfig):
    name = "pkb"
