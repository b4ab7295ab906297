"""What hostile senders tried, and what they get now."""

from __future__ import annotations

import time

import pytest

from hl7ingest import review, soap
from hl7ingest.models import Expected, HeldMessage, Outcome
from partners.models import Grant
from pkb.models import Organisation, User
from records.models import Patient
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, siu, verdict

OTHER = "9990000026"
ENVELOPE = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<w:acceptMessage xmlns:w="http://wsssl.hl7api.patientsknowbest.com/">{}</w:acceptMessage>'
    "</s:Body></s:Envelope>"
)


def test_a_hostile_email_address_costs_no_time(mailco: Sender) -> None:
    begun = time.process_time()
    ack = mailco.send(a28(rest="|M|||||^NET^^a@" + "." * 48_000 + '"'))

    assert verdict(ack) == "AR"
    assert time.process_time() - begun < 2  # it took 8 seconds, and no one else was answered


def test_a_message_names_its_patient_by_a_few_identifiers(mailco: Sender) -> None:
    many = "~".join(f"a{n}^^^ROYAL^MR" for n in range(51))

    assert verdict(mailco.send(a28(identifiers=many))) == "AR"


def test_a_refused_message_leaves_no_expectation_behind(
    mailco: Sender, pas: Sender, royal: Organisation
) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28(identifiers=f"{OTHER}^^^NHS^NH", rest="|M|||||x@example.com^NET"))
    taken = "|M|||||x@example.com^NET"

    refused = mailco.send(
        a28("2", identifiers=f"{NHS}^^^NHS^NH~L1^^^HOSP^MR", rest=taken), process=False
    )

    assert verdict(refused) == "AR"
    assert not Expected.objects.exists()
    assert verdict(mailco.send(siu(identifiers="L1^^^HOSP^MR"))) == "AR"


def test_a_date_of_the_first_century_is_no_date(mailco: Sender) -> None:
    mailco.send(a28())

    assert verdict(mailco.send(siu(born="00010101"))) == "AR"
    assert verdict(mailco.send(siu(sch="||||||^x||||^^^00010101000000+0000"))) == "AR"


def test_a_long_email_address_starts_a_record(mailco: Sender) -> None:
    ack = mailco.send(a28(rest=f"|M|||||^NET^^{'a' * 150}@example.org"))

    assert verdict(ack) == "AA"
    assert Patient.objects.get().emails.get().address.startswith("aaa")


def test_demographics_do_not_widen_what_a_team_granted(
    mailco: Sender, grant: Grant, royal: Organisation
) -> None:
    mailco.send(a28())
    team = factories.TeamFactory(organisation=royal)
    grant.team = grant.default_team = team
    grant.save()

    assert verdict(mailco.send(a28("2", name="HACKED^BYTEAM"))) == "AR"
    assert verdict(mailco.send(siu())) == "AR"
    assert Patient.objects.get().family_name == "Smith"


def test_several_teams_grants_give_what_each_of_them_gives(
    mailco: Sender, pas: Sender, grant: Grant, royal: Organisation
) -> None:
    pas.send(a28())
    pas.send(siu())
    assert royal.default_team
    grant.team = royal.default_team
    grant.data_scope = Grant.DataScope.OWN
    grant.save()
    factories.GrantFactory(
        partner=grant.partner,
        organisation=royal,
        team=factories.TeamFactory(organisation=royal),
        data_scope=Grant.DataScope.CUSTOMER,
    )

    assert verdict(mailco.send(siu("S15", control_id="2", sch="", location=""))) == "AR"


def test_a_sender_without_access_is_told_instead_of_holding(mailco: Sender, db: None) -> None:
    mailco.send(a28())
    devices = factories.OrganisationFactory(has_access=False)
    sender = Sender(factories.CredentialFactory(organisation=devices))

    assert verdict(sender.send(siu(born="19700102", control_id="d"))) == "AA"
    outcome = Outcome.objects.get(message__control_id="d")
    assert (outcome.state, outcome.reason) == ("rejected", "soft-match")


@pytest.mark.parametrize(
    "inside",
    ["<arg0>MSH|<b>x</b></arg0>", "<arg0>MSH|</arg0><arg0>MSH|</arg0>", "", "<arg1>MSH|</arg1>"],
)
def test_an_envelope_holds_one_whole_message(inside: str) -> None:
    with pytest.raises(soap.BadEnvelope):
        soap.read(ENVELOPE.format(inside).encode())


def test_control_characters_never_reach_an_answer(mailco: Sender) -> None:
    ack = mailco.send(a28(facility="a\\X01\\{b}"))

    assert verdict(ack) == "AR"
    assert all(character.isprintable() or character == "\r" for character in ack)


def test_approving_what_cannot_be_applied_resets_no_clock(
    pas: Sender, royal: Organisation, royal_admin: User
) -> None:
    royal.checks_status = True
    royal.save()
    pas.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:02}}"))
    pas.send(siu(control_id="waits"))
    held = HeldMessage.objects.get(message__control_id="waits")
    assert held.cause == HeldMessage.Cause.AWAITS_RECORD

    review.approve(held=held, by=royal_admin)

    again = HeldMessage.objects.get(pk=held.pk)
    assert (again.verdict, again.held_at) == ("", held.held_at)
