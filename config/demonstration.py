"""Demonstration data: two Customers, a partner, a no-access sender, twenty synthetic patients.

The patients come in as messages, through the same door as everyone's. Nobody here exists: NHS
numbers are of the 999 test range, but for the one on the published page.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from itertools import count, islice

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hl7ingest.process import drain
from hl7ingest.receive import receive
from partners import services
from partners.authentication import Caller
from partners.models import Credential, Grant, Partner, Secret
from partners.registry import registry
from partners.secrets import digest
from pkb.configuration import clock
from pkb.models import Membership, Organisation, SoftMatchField, Team, TeamAlias, User
from records.identification import is_nhs_number
from records.models import IdentifierType

logger = logging.getLogger(__name__)

PASSWORD = "demonstration-only"  # noqa: S105  (on this machine alone, and printed at the start)
PARTNER_USERNAME, PARTNER_SECRET = "partner_mailco", "testing"  # the published example
ROYAL, RIVERSIDE = "Royal Example NHS Trust", "Riverside Demonstration Hospital"
USERS = {
    "staff": "platform staff",
    "royal.admin": f"Organisation Administrator of {ROYAL}",
    "riverside.admin": f"Organisation Administrator of {RIVERSIDE}",
}


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic patient, named for what it shows."""

    family: str
    given: str
    born: str
    sex: str = "U"
    postcode: str = "ZZ99 3VZ"
    status: str = "01"
    local_only: bool = False
    rest: str = ""
    customer: str = ROYAL


PEOPLE = (
    Person("Match", "Plain", "19700101", "F"),
    Person("Match", "Accént", "19710202", "M"),
    Person("Birthday", "Swapped", "19810703", "F"),  # try 19810307
    Person("Birthday", "Onedigit", "19650512", "M"),  # try 19650513
    Person("Birthday", "Century", "19200615", "F"),  # try 20200615
    Person("Twin", "Anna", "20100404", "F"),
    Person("Twin", "Beth", "20100404", "F"),
    Person("Maiden-Married", "Double", "19900909", "F"),  # try family name Maiden
    Person("Initial", "Josephine", "19550111", "F"),  # try given name J
    Person("O'Apostrophe", "Niamh", "19880817", "F"),  # try OApostrophe: no difference
    Person("Postcode", "Mover", "19790320", "M", postcode="ZZ99 3WZ"),
    Person("Deceased", "Arthur", "19300228", "M", rest="|" * 15 + "20240105|Y"),
    Person("Localonly", "Overseas", "19931231", "M", local_only=True),
    Person("Number", "Unverified", "19990630", "F", status="02"),
    Person("Leap", "Day", "20000229", "M"),
    Person("Newborn", "Baby", "20260901", "I"),
    Person("Longname-Of-Many-Parts-And-Hyphens", "Wilhelmina Alexandra", "19470508", "F"),
    Person("Riverside", "Only", "19690720", "M", customer=RIVERSIDE),
    Person("Riverside", "Strict", "19820822", "F", customer=RIVERSIDE),
    Person("Shared", "Byboth", "19761111", "F"),
)


def load() -> None:
    """Load the demonstration into an empty database; its passwords are known to everybody."""
    assert settings.SANDBOX, "only in a sandbox"
    with transaction.atomic():
        staff = _user("staff", is_platform_staff=True)
        royal = _customer(ROYAL, "royal.admin", ["Patient Record Team", "Cardiology"], staff)
        riverside = _customer(RIVERSIDE, "riverside.admin", ["Patient Record Team"], staff)
        riverside.soft_match_fields = [SoftMatchField.DATE_OF_BIRTH, SoftMatchField.FAMILY_NAME]
        riverside.checks_status = True
        riverside.save()
        TeamAlias.objects.create(team=royal.teams.get(name="Cardiology"), value="cardiology")
        _partner(royal, riverside, staff)
        device_maker = Organisation.objects.create(name="Example Device Company", has_access=False)
        services.issue_credential(username="org_devices", organisation=device_maker, by=staff)
    _people()


def _user(username: str, *, is_platform_staff: bool = False) -> User:
    return User.objects.create_user(
        username,
        password=PASSWORD,
        is_staff=True,
        is_platform_staff=is_platform_staff,
        first_name=username.split(".", maxsplit=1)[0].capitalize(),
    )


def _customer(name: str, administrator: str, teams: list[str], staff: User) -> Organisation:
    organisation = Organisation.objects.create(name=name)
    made = [Team.objects.create(organisation=organisation, name=team) for team in teams]
    organisation.default_team = made[0]
    organisation.save()
    Membership.objects.create(user=_user(administrator), organisation=organisation)
    IdentifierType.objects.create(
        name=f"Hospital number, {name}",
        authority=_short(name).upper(),
        type_code="MR",
        scope=IdentifierType.Scope.ORGANISATION,
        organisation=organisation,
    )
    services.issue_credential(username=f"org_{_short(name)}", organisation=organisation, by=staff)
    return organisation


def _partner(royal: Organisation, riverside: Organisation, staff: User) -> None:
    mailco = Partner.objects.create(name="MailCo")
    credential = Credential.objects.create(username=PARTNER_USERNAME, partner=mailco)
    Secret.objects.create(
        credential=credential,
        digest=digest(PARTNER_SECRET),
        hint="demo",
        created_by=staff,
    )
    for organisation, alias in ((royal, "trustalias"), (riverside, "riversidealias")):
        services.assign_alias(partner=mailco, organisation=organisation, value=alias, by=staff)
    services.grant_access(
        partner=mailco,
        organisation=royal,
        data_scope=Grant.DataScope.CUSTOMER,
        default_team=royal.default_team,
        by=User.objects.get(username="royal.admin"),
    )


def _people() -> None:
    """Send each person's A28 as the hospital's own feed would."""
    clock.forget()
    callers = {name: _caller(f"org_{_short(name)}") for name in (ROYAL, RIVERSIDE)}
    for number, person in zip(nhs_numbers(), PEOPLE, strict=False):
        answered = receive(_a28(number, person).encode(), callers[person.customer])
        if answered.ack.verdict != "AA":
            logger.error("demonstration data refused", extra={"answer": answered.ack.verdict})
    shared = list(islice(nhs_numbers(), len(PEOPLE)))[-1]
    receive(_a28(shared, PEOPLE[-1], "2").encode(), callers[RIVERSIDE])
    drain()


def _short(name: str) -> str:
    """Return the first word of a Customer's name: in its username, and its authority."""
    return name.partition(" ")[0].lower()


def nhs_numbers() -> list[str]:
    """Return the first valid numbers of the 999 test range, one for each person."""
    valid = (str(n) for n in count(9990000000) if is_nhs_number(str(n)))
    return list(islice(valid, len(PEOPLE)))


def _caller(username: str) -> Caller:
    """Return the caller that a credential's holder would be, from this machine."""
    credential = registry.get().credentials[username]
    return Caller(credential, credential.secrets[0].id, "127.0.0.1")


def _a28(number: str, person: Person, suffix: str = "1") -> str:
    authority = _short(person.customer).upper()
    local = f"{authority[0]}{number[-6:]}^^^{authority}^MR"
    national = f"{number}^^^NHS^NH{{status:{person.status}}}"
    if suffix == "2":
        authority, local = "RIVERSIDE", f"R{number[-6:]}^^^RIVERSIDE^MR"
    identifiers = local if person.local_only else f"{national}~{local}"
    now = timezone.now().strftime("%Y%m%d%H%M%S%z")
    return (
        f"MSH|^~\\&|PAS||HL7API|PKB|{now}||ADT^A28|{uuid.uuid4()}|P|2.4\r"
        f"PID|||{identifiers}||{person.family}^{person.given}||{person.born}|{person.sex}|||"
        f"1 Example Street^^Exampleton^Exampleshire^{person.postcode}^GBR||"
        f"01632960001^PRN~07700900001^PRS|{person.rest}\r"
    )
