"""A28 and A31 start a record or change what they give of it, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hl7ingest.models import HeldMessage, InboundMessage, Outcome
from pkb.models import Organisation
from records.models import Patient, PatientEmail, PatientTeam
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, msh, told, verdict

OTHER = "9990000026"
LONG = "x" * 256


def person(
    *,
    address: str = "",
    home: str = "",
    work: str = "",
    language: str = "",
    died: str = "",
    deceased: str = "",
    sex: str = "M",
    **given: Any,
) -> str:
    """Return an A28 with these fields of PID from PID-8 on."""
    fields = {8: sex, 11: address, 13: home, 14: work, 15: language, 29: died, 30: deceased}
    rest = "".join("|" + fields.get(number, "") for number in range(8, 31))
    return a28(rest=rest, **given)


FULL = person(
    name="Smith^John^Joe^^Mr",
    address="1 Main Street^Flat 2^Town^County^NE1 1XC^GBR",
    home="01234567890^PRN~07123456789^PRS",
    work="01234098765^WPN",
    language="en",
)


def facts() -> dict[str, Any]:
    """Return all that the one record says of its patient."""
    return dict(Patient.objects.values().get())


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_a_message_about_nobody_known_starts_a_record(mailco: Sender, royal: Organisation) -> None:
    assert verdict(mailco.send(FULL)) == "AA"
    patient = Patient.objects.get()
    assert patient.name == "Mr John Joe Smith"
    assert str(patient.born_on) == "1970-01-01"
    assert patient.sex == "M"
    assert patient.address_line_1 == "1 Main Street"
    assert patient.address_line_2 == "Flat 2"
    assert (patient.city, patient.state) == ("Town", "County")
    assert (patient.postcode, patient.country) == ("NE1 1XC", "GBR")
    assert patient.home_phone == "01234567890"
    assert patient.mobile_phone == "07123456789"
    assert patient.work_phone == "01234098765"
    assert patient.language == "en"
    assert not patient.is_deceased
    assert patient.entered_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    identifier = patient.identifiers.get()
    assert (identifier.value, identifier.type.authority) == (NHS, "NHS")
    assert patient.teams.get().team == royal.default_team
    assert str(patient.source) == "MailCo on behalf of Royal Example NHS Trust"


@pytest.mark.spec("hl7-api", "ADT A28/A31")
@pytest.mark.parametrize("first", ["ADT^A28", "ADT^A31"])
@pytest.mark.parametrize("second", ["ADT^A28", "ADT^A31", "ADT^A31^ADT_A05"])
def test_a28_and_a31_are_processed_identically(mailco: Sender, first: str, second: str) -> None:
    assert verdict(mailco.send(a28(kind=first))) == "AA"
    assert verdict(mailco.send(a28(kind=second, name="Smith^Jack"))) == "AA"
    assert Patient.objects.get().given_name == "Jack"


@pytest.mark.spec("decisions", "smaller points: minimum to create")
def test_the_minimum_to_create_is_an_identifier_two_names_and_a_date_of_birth(
    mailco: Sender,
) -> None:
    assert verdict(mailco.send(a28(rest=""))) == "AA"
    assert Patient.objects.get().sex == "U"


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"name": "^John"}, "surname"),
        ({"name": "Smith"}, "givenName"),
        ({"name": "Smith^ "}, "givenName"),
        ({"born": ""}, "dateOfBirth"),
        ({"name": ""}, "surname, givenName"),
        ({"name": "", "born": ""}, "surname, givenName, dateOfBirth"),
    ],
)
def test_each_field_that_a_new_record_lacks_is_named(
    mailco: Sender, given: dict[str, str], lacking: str
) -> None:
    ack = mailco.send(a28(**given))
    assert verdict(ack) == "AR"
    assert told(ack) == f"Cannot create patient missing these fields: {lacking}"
    assert not Patient.objects.exists()
    assert not InboundMessage.objects.exists()


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
@pytest.mark.parametrize(
    "identifiers",
    [
        "",
        "^^^NHS^NH",
        '""^^^NHS^NH',
        f"{NHS}",
        f"{NHS}^^^NHS",
        f"{NHS}^^^^NH",
        f"{NHS}^^^nhs^NH",
        f"{NHS}^^^XYZ^QQ",
    ],
)
def test_a_message_without_a_known_identifier_is_refused(mailco: Sender, identifiers: str) -> None:
    ack = mailco.send(a28(identifiers=identifiers))
    assert verdict(ack) == "AR"
    assert told(ack) == "Lookup single patient must be provided with at least one identifier"


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_a_record_needs_a_team_to_be_created_in(mailco: Sender, royal: Organisation) -> None:
    royal.default_team = None
    royal.save()
    ack = mailco.send(a28())
    assert verdict(ack) == "AR"
    assert told(ack) == "Cannot create patient: no team to create the record in"


@pytest.mark.spec("hl7-api", "PID: blank ignored on update")
def test_what_an_update_leaves_blank_stays(mailco: Sender) -> None:
    mailco.send(FULL)
    before = facts()
    mailco.send(a28(control_id="2", name="", born="", rest=""))
    after = facts()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"message_id", "updated_at", "entered_at", "source_id"}


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_an_update_changes_only_what_it_gives(mailco: Sender) -> None:
    mailco.send(FULL)
    mailco.send(person(control_id="2", name="^Jack", born="", sex="", address="^^^^AB1 2CD"))
    patient = Patient.objects.get()
    assert patient.name == "Mr Jack Joe Smith"
    assert (patient.address_line_1, patient.postcode) == ("1 Main Street", "AB1 2CD")
    assert patient.sex == "M"


NULL = '""'


@pytest.mark.spec("decisions", 'smaller points: ""')
@pytest.mark.parametrize(
    ("given", "cleared"),
    [
        ({"name": f"Smith^John^{NULL}"}, ["middle_names"]),
        ({"name": f"Smith^John^^^{NULL}"}, ["title"]),
        (
            {"address": f"{NULL}^{NULL}^{NULL}^{NULL}^{NULL}^{NULL}"},
            ["address_line_1", "address_line_2", "city", "state", "postcode", "country"],
        ),
        ({"home": f"{NULL}^PRN"}, ["home_phone"]),
        ({"home": f"{NULL}^PRS"}, ["mobile_phone"]),
        ({"work": f"{NULL}^WPN"}, ["work_phone"]),
        ({"work": NULL}, ["work_phone"]),
        ({"language": NULL}, ["language"]),
    ],
)
def test_two_quotes_clear_an_optional_field(
    mailco: Sender, given: dict[str, str], cleared: list[str]
) -> None:
    mailco.send(FULL)
    before = facts()
    assert verdict(mailco.send(person(control_id="2", **given))) == "AA"
    after = facts()
    assert {name: after[name] for name in cleared} == dict.fromkeys(cleared, "")
    kept = set(after) - {*cleared, "message_id", "updated_at"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


@pytest.mark.spec("decisions", 'smaller points: ""')
def test_two_quotes_for_the_whole_address_leave_no_part_of_it(mailco: Sender) -> None:
    mailco.send(FULL)
    mailco.send(person(control_id="2", address=NULL))
    patient = Patient.objects.get()
    assert patient.address_line_1 == ""
    assert (patient.city, patient.postcode) == ("", "")


@pytest.mark.spec("decisions", 'smaller points: ""')
def test_two_quotes_for_all_home_contacts_leave_no_number(mailco: Sender) -> None:
    mailco.send(FULL)
    mailco.send(person(control_id="2", home=NULL))
    patient = Patient.objects.get()
    assert (patient.home_phone, patient.mobile_phone) == ("", "")
    assert patient.work_phone == "01234098765"


@pytest.mark.spec("decisions", 'smaller points: ""')
def test_two_quotes_make_the_sex_unknown(mailco: Sender) -> None:
    mailco.send(FULL)
    mailco.send(person(control_id="2", sex=NULL))
    assert Patient.objects.get().sex == "U"


@pytest.mark.spec("decisions", 'smaller points: ""')
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"name": f"{NULL}^John"}, "PID-5.1"),
        ({"name": f"Smith^{NULL}"}, "PID-5.2"),
        ({"born": NULL}, "PID-7.1"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_two_quotes_never_clear_a_mandatory_field(
    mailco: Sender, given: dict[str, str], place: str, exists: bool
) -> None:
    if exists:
        mailco.send(FULL)
    ack = mailco.send(a28(control_id="2", **given))
    assert verdict(ack) == "AR"
    assert f"{place} (" in told(ack)
    assert [p.family_name for p in Patient.objects.all()] == (["Smith"] if exists else [])


@pytest.mark.spec("hl7-api", "ADT A28/A31: MSH-7")
def test_an_older_message_does_not_overwrite(mailco: Sender) -> None:
    mailco.send(a28(sent="20260101120000+0000"))
    ack = mailco.send(a28(control_id="2", name="Smith^Old", sent="20260101115959+0000"))
    assert verdict(ack) == "AA"
    patient = Patient.objects.get()
    assert patient.given_name == "John"
    assert patient.entered_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.spec("hl7-api", "ADT A28/A31: MSH-7")
def test_a_message_of_the_same_time_overwrites(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", name="Smith^Jack"))
    assert Patient.objects.get().given_name == "Jack"


@pytest.mark.spec("hl7-api", "ADT A28/A31: MSH-7")
def test_older_and_newer_are_instants_and_not_texts(mailco: Sender) -> None:
    mailco.send(a28(sent="20260701120000+0100"))
    mailco.send(a28(control_id="2", name="Smith^Newer", sent="20260701113000+0000"))
    assert Patient.objects.get().given_name == "Newer"


@pytest.mark.spec("hl7-api", "ADT A28/A31: MSH-7")
def test_what_one_customer_sent_earlier_does_not_overwrite_what_another_sent_later(
    pas: Sender, riverside_pas: Sender
) -> None:
    pas.send(a28(sent="20260102"))
    riverside_pas.send(a28(name="Smith^Older", sent="20260101"))
    assert Patient.objects.get().given_name == "John"
    riverside_pas.send(a28(name="Smith^Newer", sent="20260103"))
    assert Patient.objects.get().given_name == "Newer"


@pytest.mark.spec("hl7-api", "code sets: gender")
@pytest.mark.parametrize("sex", ["U", "M", "F", "I"])
def test_the_four_sexes_are_kept(mailco: Sender, sex: str) -> None:
    mailco.send(person(sex=sex))
    assert Patient.objects.get().sex == sex


@pytest.mark.spec("hl7-api", "code sets: gender")
@pytest.mark.parametrize("sex", ["A", "X", "m", "MALE", "0"])
def test_any_other_sex_refuses_the_message(mailco: Sender, sex: str) -> None:
    ack = mailco.send(person(sex=sex))
    assert verdict(ack) == "AR"
    assert told(ack) == "Invalid gender. Expected U, M, F or I"
    assert not Patient.objects.exists()


@pytest.mark.spec("hl7-api", "PID")
def test_a_death_is_kept_with_its_time(mailco: Sender) -> None:
    mailco.send(person(died="20251224", deceased="Y"))
    patient = Patient.objects.get()
    assert patient.is_deceased
    assert patient.died_at == datetime(2025, 12, 24, tzinfo=UTC)
    assert patient.died_precision == "day"


@pytest.mark.spec("hl7-api", "PID")
@pytest.mark.parametrize(
    ("died", "deceased", "expected"),
    [("", "Y", True), ("20251224", "", True), ("", "N", False), ("", "", False), ("", NULL, False)],
)
def test_who_is_deceased(mailco: Sender, died: str, deceased: str, expected: bool) -> None:
    mailco.send(person(died=died, deceased=deceased))
    assert Patient.objects.get().is_deceased is expected


@pytest.mark.spec("hl7-api", "PID")
def test_a_death_told_by_mistake_is_taken_back(mailco: Sender) -> None:
    mailco.send(person(died="20251224", deceased="Y"))
    mailco.send(person(control_id="2", deceased="N"))
    patient = Patient.objects.get()
    assert not patient.is_deceased
    assert (patient.died_at, patient.died_precision) == (None, "")


@pytest.mark.spec("decisions", 'smaller points: ""')
def test_two_quotes_clear_the_time_of_death(mailco: Sender) -> None:
    mailco.send(person(died="20251224", deceased="Y"))
    mailco.send(person(control_id="2", died=NULL, deceased="Y"))
    patient = Patient.objects.get()
    assert patient.is_deceased
    assert patient.died_at is None


@pytest.mark.spec("hl7-api", "PID")
def test_blank_leaves_a_death_alone(mailco: Sender) -> None:
    mailco.send(person(died="20251224", deceased="Y"))
    mailco.send(person(control_id="2"))
    assert Patient.objects.get().is_deceased


@pytest.mark.spec("hl7-api", "PID")
def test_a_death_indicator_is_y_or_n(mailco: Sender) -> None:
    ack = mailco.send(person(deceased="1"))
    assert verdict(ack) == "AR"
    assert told(ack).endswith("PID-30.1 (death indicator) must be Y or N. You provided [1]")


@pytest.mark.spec("hl7-api", "PID")
@pytest.mark.parametrize(
    ("home", "work", "kept"),
    [
        ("1^PRN~2^PRS", "3^WPN", ("1", "2", "3")),
        ("2^PRS~1^PRN", "3", ("1", "2", "3")),
        ("1", "", ("1", "", "")),
        ("1^prn~2^prs", "", ("1", "2", "")),
        ("^NET^^a@example.com~1^PRN", "", ("1", "", "")),
        ("1^PRN~9^PRN", "", ("1", "", "")),
        ("~~2^PRS", "", ("", "2", "")),
    ],
)
def test_telephone_numbers_are_told_apart_by_their_use(
    mailco: Sender, home: str, work: str, kept: tuple[str, str, str]
) -> None:
    assert verdict(mailco.send(person(home=home, work=work))) == "AA"
    patient = Patient.objects.get()
    assert (patient.home_phone, patient.mobile_phone, patient.work_phone) == kept


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
@pytest.mark.parametrize("form", ["{}^NET", "^NET^^{}", "{}^net", "1^PRN~{}^NET"])
@pytest.mark.parametrize("field", ["home", "work"])
def test_an_address_is_read_in_the_older_and_the_newer_form(
    mailco: Sender, form: str, field: str
) -> None:
    mailco.send(person(**{field: form.format("john@Example.com")}))
    email = PatientEmail.objects.get()
    assert (email.address, email.is_primary) == ("john@example.com", True)
    assert email.confirmed_at is None


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
def test_one_address_in_each_field_the_first_is_primary(mailco: Sender) -> None:
    mailco.send(person(home="home@example.com^NET", work="work@example.com^NET"))
    assert dict(PatientEmail.objects.values_list("address", "is_primary")) == {
        "home@example.com": True,
        "work@example.com": False,
    }


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
def test_the_same_address_in_both_fields_is_one(mailco: Sender) -> None:
    assert verdict(mailco.send(person(home="a@example.com^NET", work="A@example.com^NET"))) == "AA"
    assert PatientEmail.objects.count() == 1


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
@pytest.mark.parametrize("field", ["home", "work"])
def test_two_addresses_in_one_field_refuse_the_message(mailco: Sender, field: str) -> None:
    ack = mailco.send(person(**{field: "a@example.com^NET~b@example.com^NET"}))
    assert verdict(ack) == "AR"
    assert "must hold at most one e-mail address" in told(ack)


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
@pytest.mark.parametrize(
    "address",
    ["john", "john@", "@example.com", "a b@example.com", "a@b", "a@b@c.de", "<a@example.com>"],
)
def test_what_is_no_address_refuses_the_message(mailco: Sender, address: str) -> None:
    ack = mailco.send(person(home=f"{address}^NET"))
    assert verdict(ack) == "AR"
    assert "PID-13.1 (e-mail address) must be an e-mail address" in told(ack)


@pytest.mark.spec("decisions", "smaller points: e-mail given when updating")
def test_an_address_is_added_to_a_record_that_has_none(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(person(control_id="2", home="john@example.com^NET"))
    assert PatientEmail.objects.get().is_primary


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
def test_a_known_address_stays_and_a_new_one_is_added_once(mailco: Sender) -> None:
    mailco.send(person(home="first@example.com^NET"))
    for control_id in ("2", "3"):
        mailco.send(person(control_id=control_id, home="second@example.com^NET"))
    mailco.send(person(control_id="4", home=""))
    assert list(PatientEmail.objects.order_by("address").values_list("address", "is_primary")) == [
        ("first@example.com", True),
        ("second@example.com", False),
    ]


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
@pytest.mark.parametrize("exists", [True, False])
def test_an_address_of_another_record_refuses_the_whole_message(
    mailco: Sender, exists: bool
) -> None:
    mailco.send(person(home="john@example.com^NET"))
    other = f"{OTHER}^^^NHS^NH"
    if exists:
        mailco.send(a28(control_id="2", identifiers=other, name="Jones^Ann"))
    message = person(
        control_id="3", identifiers=other, name="Jones^Anna", work="^NET^^John@example.com"
    )
    ack = mailco.send(message)
    assert verdict(ack) == "AR"
    assert told(ack) == "Patient email address [john@example.com] already active in PKB"
    names = set(Patient.objects.values_list("given_name", flat=True))
    assert names == ({"John", "Ann"} if exists else {"John"})


@pytest.mark.spec("hl7-api", "patient e-mail addresses")
def test_an_address_that_two_waiting_messages_give_to_two_patients_blocks_neither(
    mailco: Sender,
) -> None:
    one = person(home="shared@example.com^NET")
    two = person(
        control_id="2",
        identifiers=f"{OTHER}^^^NHS^NH",
        name="Jones^Ann",
        home="shared@example.com^NET",
    )
    assert verdict(mailco.send(one, process=False)) == "AA"
    ack = mailco.send(two)
    assert PatientEmail.objects.get().patient.family_name == "Smith"
    if verdict(ack) == "AR":
        assert told(ack) == "Patient email address [shared@example.com] already active in PKB"
    else:  # too late to refuse: told as what it is, and not tried again and again
        outcome = Outcome.objects.get(message__control_id="2")
        assert (outcome.state, outcome.reason) == ("rejected", "email-in-use")


@pytest.mark.spec("hl7-api", "identifiers")
def test_identifiers_are_added_to_a_known_record(mailco: Sender, royal: Organisation) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH~A1^^^HOSP^MR~A2^^^HOSP^MR"))
    values = Patient.objects.get().identifiers.values_list("value", flat=True)
    assert set(values) == {NHS, "A1", "A2"}


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_an_older_message_still_adds_an_identifier(mailco: Sender, royal: Organisation) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH~A1^^^HOSP^MR", sent="20250101"))
    assert Patient.objects.get().identifiers.count() == 2


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_local_number_lets_the_national_number_be_changed(
    mailco: Sender, royal: Organisation
) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH~A1^^^HOSP^MR"))
    ack = mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH~A1^^^HOSP^MR"))
    assert verdict(ack) == "AA"
    values = Patient.objects.get().identifiers.values_list("value", flat=True)
    assert set(values) == {OTHER, "A1"}


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_local_number_lets_a_national_number_be_added(
    mailco: Sender, royal: Organisation
) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28(identifiers="A1^^^HOSP^MR"))
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH{{status:01}}~A1^^^HOSP^MR"))
    identifier = Patient.objects.get().identifiers.get(is_national=True)
    assert (identifier.value, identifier.status) == (NHS, "01")


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_an_older_message_does_not_change_the_national_number(
    mailco: Sender, royal: Organisation
) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH~A1^^^HOSP^MR"))
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH~A1^^^HOSP^MR", sent="20250101"))
    assert Patient.objects.get().identifiers.get(is_national=True).value == NHS


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_national_number_of_another_record_is_never_taken(
    mailco: Sender, royal: Organisation
) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal)
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH~A1^^^HOSP^MR"))
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH"))
    ack = mailco.send(a28(control_id="3", identifiers=f"{OTHER}^^^NHS^NH~A1^^^HOSP^MR"))
    assert verdict(ack) == "AR"
    assert told(ack) == "Ambiguous patient IDs provided"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_second_national_number_in_one_message_does_not_change_the_first(
    mailco: Sender,
) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH~{OTHER}^^^NHS^NH"))
    assert Patient.objects.get().identifiers.get().value == NHS


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_a_national_number_alone_never_changes_another_records(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH"))
    assert Patient.objects.count() == 2


@pytest.mark.spec("decisions", "identity: status")
@pytest.mark.parametrize(
    ("code", "status"), [("NH", ""), ("NH{status:01}", "01"), ("NH{status:03}", "03")]
)
def test_the_status_is_read_off_the_type_code(mailco: Sender, code: str, status: str) -> None:
    assert verdict(mailco.send(a28(identifiers=f"{NHS}^^^NHS^{code}"))) == "AA"
    assert Patient.objects.get().identifiers.get().status == status


@pytest.mark.spec("decisions", "identity: status")
@pytest.mark.parametrize(
    "code", ["NH {status:01}", "NH{status:1}", "NH{01}", "NH{status:}", "nh{status:01}"]
)
def test_a_malformed_status_is_no_known_type(mailco: Sender, code: str) -> None:
    assert verdict(mailco.send(a28(identifiers=f"{NHS}^^^NHS^{code}"))) == "AR"


@pytest.mark.spec("decisions", "identity: status")
def test_a_later_status_replaces_the_earlier(mailco: Sender) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:02}}"))
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH{{status:01}}"))
    mailco.send(a28(control_id="3", identifiers=f"{NHS}^^^NHS^NH"))
    assert Patient.objects.get().identifiers.get().status == "01"


@pytest.fixture
def checking(royal: Organisation) -> Organisation:
    """The Royal, checking the status of national numbers."""
    royal.checks_status = True
    royal.save()
    factories.LocalIdentifierTypeFactory(organisation=royal)
    return royal


@pytest.mark.spec("hl7-api", "status checking")
def test_a_verified_number_passes(mailco: Sender, checking: Organisation) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:01}}"))
    assert Outcome.objects.get().state == "applied"
    assert Patient.objects.exists()


@pytest.mark.spec("hl7-api", "status checking")
@pytest.mark.parametrize("code", ["NH", *(f"NH{{status:0{n}}}" for n in range(2, 9))])
def test_any_other_status_is_accepted_and_held(
    mailco: Sender, checking: Organisation, code: str
) -> None:
    assert verdict(mailco.send(a28(identifiers=f"{NHS}^^^NHS^{code}"))) == "AA"
    held = HeldMessage.objects.get()
    assert (held.cause, held.controller) == ("number-status", checking)
    assert "is not verified" in held.reasons[0]["reason"]
    assert NHS not in str(held.reasons)
    assert not Patient.objects.exists()


@pytest.mark.spec("hl7-api", "status checking")
def test_a_held_update_changes_nothing(mailco: Sender, checking: Organisation) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:01}}"))
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^NHS^NH{{status:02}}", name="Smith^Jack"))
    assert Outcome.objects.get(message__control_id="2").state == "held"
    patient = Patient.objects.get()
    assert patient.given_name == "John"
    assert patient.identifiers.get().status == "01"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_only_a_local_number_is_held_where_the_record_has_a_national_one(
    mailco: Sender, checking: Organisation
) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:01}}~A1^^^HOSP^MR"))
    ack = mailco.send(a28(control_id="2", identifiers="A1^^^HOSP^MR", name="Smith^Jack"))
    assert verdict(ack) == "AA"
    assert HeldMessage.objects.get().message.control_id == "2"
    assert Patient.objects.get().given_name == "John"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_only_a_local_number_passes_where_the_record_has_no_national_one(
    mailco: Sender, checking: Organisation
) -> None:
    mailco.send(a28(identifiers="A1^^^HOSP^MR"))
    mailco.send(a28(control_id="2", identifiers="A1^^^HOSP^MR", name="Smith^Jack"))
    assert Patient.objects.get().given_name == "Jack"
    assert not HeldMessage.objects.exists()


@pytest.mark.spec("hl7-api", "status checking")
def test_without_status_checking_any_status_passes(mailco: Sender) -> None:
    mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH{{status:03}}"))
    assert Patient.objects.exists()


@pytest.mark.spec("hl7-api", "ADT A28/A31: clinical sets")
@pytest.mark.parametrize(
    "segment", ["AL1|1||X^Peanut", "DG1|1||X^Flu", "ZRX||X^Aspirin", "ZTM|first_alias|"]
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_segment_that_is_not_supported_refuses_the_message_whole(
    mailco: Sender, segment: str, exists: bool
) -> None:
    if exists:
        mailco.send(a28())
    ack = mailco.send(a28(control_id="2", name="Smith^Jack") + segment + "\r")
    assert verdict(ack) == "AR"
    assert "is not supported yet. Nothing of this message was applied" in told(ack)
    assert [p.given_name for p in Patient.objects.all()] == (["John"] if exists else [])


@pytest.mark.spec("hl7-api", "PID")
@pytest.mark.parametrize(
    "given",
    [
        {"name": f"{LONG}^John"},
        {"name": f"Smith^{LONG}"},
        {"address": LONG},
        {"address": "^^^^" + "x" * 21},
        {"language": "x" * 21},
        {"home": "1" * 41},
        {"identifiers": f"{NHS}^^^NHS^NH~{'x' * 101}^^^A^B"},
        {"home": "a" * 250 + "@example.com^NET"},
    ],
)
def test_what_is_too_long_is_refused_and_never_cut(mailco: Sender, given: dict[str, str]) -> None:
    ack = mailco.send(person(**given))
    assert verdict(ack) == "AR"
    assert "PID-" in told(ack)
    assert not Patient.objects.exists()


@pytest.mark.spec("hl7-api", "ADT A28/A31")
def test_a_message_without_pid_is_refused(mailco: Sender) -> None:
    ack = mailco.send(msh("ADT^A28") + "EVN|A28\r")
    assert verdict(ack) == "AR"
    assert told(ack) == "Parsing or validation error: PID segment must be provided"


@pytest.mark.spec("hl7-api", "creating team and linked teams")
def test_demographics_make_a_known_patient_known_to_the_team_once(
    pas: Sender, riverside_pas: Sender, royal: Organisation, riverside: Organisation
) -> None:
    pas.send(a28())
    riverside_pas.send(a28())
    riverside_pas.send(a28(control_id="2"))
    assert PatientTeam.objects.count() == 2
    assert {link.team for link in PatientTeam.objects.all()} == {
        royal.default_team,
        riverside.default_team,
    }


@pytest.mark.spec("hl7-api", "creating team and linked teams")
def test_a_partners_records_are_created_in_the_default_team_of_its_grant(
    mailco: Sender, royal: Organisation, grant: Any
) -> None:
    team = factories.TeamFactory(organisation=royal, name="Mail team")
    grant.default_team = team
    grant.save()
    mailco.send(a28())
    assert PatientTeam.objects.get().team == team


@pytest.mark.spec("hl7-api", "creating team and linked teams")
def test_a_customers_records_are_created_in_the_source_team(
    pas: Sender, royal: Organisation
) -> None:
    team = factories.TeamFactory(organisation=royal, name="Renal")
    factories.TeamAliasFactory(team=team, value="renal")
    pas.send(a28(facility="renal"))
    assert PatientTeam.objects.get().team == team
