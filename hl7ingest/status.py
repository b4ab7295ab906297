"""What became of a message, for the sender that sent it. Never more than it sent, and no text."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from partners.authentication import (
    AddressNotAllowed,
    Caller,
    NotAuthenticated,
    authenticate,
    client_address,
)
from partners.registry import registry


class HttpBasic(BaseAuthentication):
    """The same Basic credential, from the same addresses, as for sending."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        meta = request.META
        forwarded = [meta["HTTP_X_FORWARDED_FOR"]] if "HTTP_X_FORWARDED_FOR" in meta else []
        address = client_address(meta.get("REMOTE_ADDR", ""), forwarded)
        authorization = meta.get("HTTP_AUTHORIZATION", "")
        try:
            return authenticate(registry.get(), authorization, address, timezone.now()), None
        except AddressNotAllowed:
            raise PermissionDenied("This request is not allowed.") from None
        except NotAuthenticated:
            raise AuthenticationFailed("Authenticate with HTTP Basic.") from None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="HL7", charset="UTF-8"'


class IsCaller(BasePermission):
    """Somebody proved who they are."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.user, Caller)


class MessageStatus(APIView):
    """`GET /hl7/messages/<MSH-10>`: the newest message of the caller with this control id."""

    authentication_classes = [HttpBasic]
    permission_classes = [IsCaller]
    renderer_classes = [JSONRenderer]

    def get(self, request: HttpRequest, control_id: str) -> Response:
        """Return its state and times; 404 for what the caller did not send."""
        assert isinstance(request.user, Caller)
        if not control_id.isprintable():
            raise NotFound("You have sent no such message.")
        found = list(_sent_by(request.user).filter(control_id=control_id).order_by("-id")[:50])
        if not found:
            raise NotFound("You have sent no such message.")
        newest, *others = found
        return Response(
            describe(newest) | {"others": [describe(message) for message in others]},
            headers={"Cache-Control": "no-store"},
        )


def _sent_by(caller: Caller) -> QuerySet[InboundMessage]:
    """Return the messages of the caller's partner, organisation or team."""
    credential = caller.credential
    messages = InboundMessage.objects.select_related("queued", "outcome", "held")
    if credential.partner_id:
        return messages.filter(partner=credential.partner_id)
    own = messages.filter(partner=None, connecting=credential.organisation_id)
    return own.filter(credential__team=credential.team_id) if credential.team_id else own


def describe(message: InboundMessage) -> dict[str, Any]:
    """Return the state of a message and when it came to it.

    `state` is received, applied, held, failed or rejected; `reason` a class of reasons, where
    held, failed or rejected.
    """
    outcome: Outcome | None = getattr(message, "outcome", None)
    held: HeldMessage | None = getattr(message, "held", None)
    told: dict[str, Any] = {
        "control_id": message.control_id,
        "type": message.type,
        "state": outcome.state if outcome else "received",
        "received_at": message.received_at,
    }
    if held:
        told["held_at"] = held.held_at
        if held.decided_at:
            told["decided_at"] = held.decided_at
    if outcome:
        told[f"{outcome.state}_at"] = outcome.at
        if outcome.state == Outcome.State.HELD and held:
            told["held_at"] = held.held_at
        if outcome.reason:
            told["reason"] = outcome.reason
        if outcome.error_id:
            told["error_id"] = outcome.error_id
    if message.ignored:
        told["ignored_identifiers"] = message.ignored
    return told
