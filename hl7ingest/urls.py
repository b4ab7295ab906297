from django.urls import path

from hl7ingest.status import MessageStatus

urlpatterns = [
    path("messages/<path:control_id>", MessageStatus.as_view(), name="message-status"),
]
