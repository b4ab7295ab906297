"""What a test needs to exist (factory_boy). Say only what the test is about."""

from typing import Any

import factory
from django.utils import timezone

from partners.models import Alias, Credential, Grant, Partner, Secret
from partners.secrets import digest
from pkb.models import Membership, Organisation, Team, TeamAlias, User
from records.models import IdentifierType

SECRET = "testing"


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")
    is_staff = True


class OrganisationFactory(factory.django.DjangoModelFactory[Organisation]):
    """A Customer with a default team."""

    class Meta:
        model = Organisation
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Trust {n}")

    @factory.post_generation
    def with_default_team(self: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        if create and extracted is not False and self.has_access:
            self.default_team = TeamFactory(organisation=self, name="Patient Record Team")
            self.save()


class TeamFactory(factory.django.DjangoModelFactory[Team]):
    class Meta:
        model = Team

    organisation = factory.SubFactory(OrganisationFactory)
    name = factory.Sequence(lambda n: f"Team {n}")


class TeamAliasFactory(factory.django.DjangoModelFactory[TeamAlias]):
    class Meta:
        model = TeamAlias

    team = factory.SubFactory(TeamFactory)
    value = factory.Sequence(lambda n: f"team-alias-{n}")


class MembershipFactory(factory.django.DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    organisation = factory.SubFactory(OrganisationFactory)


class PartnerFactory(factory.django.DjangoModelFactory[Partner]):
    class Meta:
        model = Partner

    name = factory.Sequence(lambda n: f"Partner {n}")


class CredentialFactory(factory.django.DjangoModelFactory[Credential]):
    """A credential whose secret is `SECRET`; say whose it is."""

    class Meta:
        model = Credential
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"sender_{n}")

    @factory.post_generation
    def secret(self: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        if create:
            Secret.objects.create(credential=self, digest=digest(extracted or SECRET), hint="test")


class AliasFactory(factory.django.DjangoModelFactory[Alias]):
    class Meta:
        model = Alias

    value = factory.Sequence(lambda n: f"alias{n}")


class GrantFactory(factory.django.DjangoModelFactory[Grant]):
    class Meta:
        model = Grant

    granted_by = factory.SubFactory(UserFactory)


class LocalIdentifierTypeFactory(factory.django.DjangoModelFactory[IdentifierType]):
    """A hospital number of `organisation`: authority HOSP, type code MR."""

    class Meta:
        model = IdentifierType

    name = "Hospital number"
    authority = "HOSP"
    type_code = "MR"
    scope = IdentifierType.Scope.ORGANISATION


def revoked(by: User) -> dict[str, Any]:
    """The pair of columns that revokes something."""
    return {"revoked_at": timezone.now(), "revoked_by": by}
