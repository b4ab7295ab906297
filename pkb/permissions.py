"""Who may see and do what in the admin."""

from django.contrib.auth.models import AnonymousUser

from pkb.models import Membership, User


def is_platform_staff(user: User | AnonymousUser) -> bool:
    """Return whether `user` runs the platform."""
    return isinstance(user, User) and user.is_active and user.is_staff and user.is_platform_staff


def administered_organisations(user: User | AnonymousUser) -> set[int]:
    """Return the ids of the organisations that `user` administers; none for platform staff.

    Asked once a request and kept on the user object, which lives as long as the request.
    """
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        return set()
    held: set[int] | None = getattr(user, "_administered", None)
    if held is None:
        held = set(
            Membership.objects.filter(
                user=user,
                role=Membership.Role.ADMINISTRATOR,
                organisation__is_active=True,
                organisation__has_access=True,
            ).values_list("organisation_id", flat=True)
        )
        user._administered = held  # type: ignore[attr-defined]
    return held


def administers(user: User | AnonymousUser, organisation_id: int) -> bool:
    """Return whether `user` administers that organisation."""
    return organisation_id in administered_organisations(user)
