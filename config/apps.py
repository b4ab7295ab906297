"""The project's own pieces of Django: its checks and its admin site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin

from config import checks


class ProjectConfig(AppConfig):
    """Registers the checks of the settings."""

    name = "config"

    def ready(self) -> None:
        checks.register()


class AdminConfig(admin.AdminConfig):
    """Django admin with our site: its home page, and who sees what."""

    default_site = "pkb.site.Site"
