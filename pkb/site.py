"""The admin site."""

from django.contrib.admin import AdminSite


class Site(AdminSite):
    """Django admin for platform staff and Organisation Administrators."""

    site_header = "Partner integration"
    site_title = "Partner integration"
