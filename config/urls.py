"""Pages and APIs that Django serves; the HL7 door stands in front of them, in `config.asgi`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("hl7/", include("hl7ingest.urls")),
    path("admin/", admin.site.urls),
]
