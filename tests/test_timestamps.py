"""A time stamp is an instant: its own offset, else the team's zone, else the organisation's."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl7ingest.hl7v2 import read_day, read_moment
from partners.models import Grant
from partners.services import delegate
from pkb.models import Organisation
from records.models import Appointment, Document, Patient
from tests import factories
from tests.conftest import Sender
from tests.messages import a28, mdm, siu, told, verdict

LONDON = ZoneInfo("Europe/London")


@pytest.mark.spec("hl7-api", "time stamps: the table")
@pytest.mark.parametrize(
    ("given", "read", "precision"),
    [
        ("2016", "2016-01-01 00:00:00.000", "year"),
        ("201602", "2016-02-01 00:00:00.000", "month"),
        ("20160203", "2016-02-03 00:00:00.000", "day"),
        ("2016020311", "2016-02-03 11:00:00.000", "hour"),
        ("201602031112", "2016-02-03 11:12:00.000", "minute"),
        ("20160203111213", "2016-02-03 11:12:13.000", "second"),
        ("20160203111213.9", "2016-02-03 11:12:13.900", "millisecond"),
        ("20160203111213.98", "2016-02-03 11:12:13.980", "millisecond"),
        ("20160203111213.987", "2016-02-03 11:12:13.987", "millisecond"),
        ("20160203111213.9876", "2016-02-03 11:12:13.987", "millisecond"),
        ("20160203111213.9999", "2016-02-03 11:12:13.999", "millisecond"),
        ("20160203111213.0", "2016-02-03 11:12:13.000", "millisecond"),
        ("20160229", "2016-02-29 00:00:00.000", "day"),
    ],
)
def test_the_published_table(given: str, read: str, precision: str) -> None:
    moment = read_moment(given, UTC)
    assert moment is not None
    assert moment.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] == read
    assert moment.precision == precision


@pytest.mark.spec("hl7-api", "time stamps: half a component")
@pytest.mark.parametrize(
    "given",
    [
        "2016020311121",
        "201602031",
        "20160203111",
        "2016020",
        "20162",
        "201",
        "20160203111213.",
        "201602031112.5",
        "20160203111213.98765",
        "20160203111213,9",
        "2016-02-03",
        "20160203T111213",
        "20160203111213Z",
        "20160203111213+01",
        "20160203111213+1",
        "20160203111213+01:00",
        "+0100",
        "20160203111213 +0100",
        " 20160203",
        "２０１６",
        "20160203111213+0100\n",
        "",
        "now",
    ],
)
def test_half_a_component_is_an_error(given: str) -> None:
    assert read_moment(given, UTC) is None


@pytest.mark.spec("hl7-api", "time stamps")
@pytest.mark.parametrize(
    "given",
    [
        "20260231",
        "20250229",
        "20261301",
        "20260001",
        "20260100",
        "20260101240000",
        "20260101126000",
        "20260101120060",
        "00000101",
        "20260101120000+2500",
        "20260101120000+0199",
        "99991231235959-0100",
        "00010101000000+0100",
    ],
)
def test_a_moment_that_no_calendar_has_is_an_error(given: str) -> None:
    assert read_moment(given, UTC) is None


@pytest.mark.spec("decisions", "time: offset in the value")
@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("20260701120000+0100", "2026-07-01T11:00:00+00:00"),
        ("20260701120000-0500", "2026-07-01T17:00:00+00:00"),
        ("20260701120000+0000", "2026-07-01T12:00:00+00:00"),
        ("20260701120000-0000", "2026-07-01T12:00:00+00:00"),
        ("20260701120000+1400", "2026-06-30T22:00:00+00:00"),
        ("20260701120000+0545", "2026-07-01T06:15:00+00:00"),
        ("20260701+0100", "2026-06-30T23:00:00+00:00"),
        ("2026070112+0100", "2026-07-01T11:00:00+00:00"),
        ("20260701120000.25-0330", "2026-07-01T15:30:00.250000+00:00"),
    ],
)
def test_an_offset_in_the_value_decides(given: str, read: str) -> None:
    moment = read_moment(given, ZoneInfo("America/New_York"))
    assert moment is not None
    assert moment.at.isoformat() == read


@pytest.mark.spec("decisions", "time: civil times")
@pytest.mark.parametrize(
    ("given", "zone", "read"),
    [
        ("20260701120000", "Europe/London", "2026-07-01T11:00:00+00:00"),
        ("20260101120000", "Europe/London", "2026-01-01T12:00:00+00:00"),
        # does not exist: 01:00-02:00 on 29 March; the offset before the change is +0000
        ("20260329013000", "Europe/London", "2026-03-29T01:30:00+00:00"),
        # exists twice: 01:00-02:00 on 25 October; the first time is in summer time, +0100
        ("20261025013000", "Europe/London", "2026-10-25T00:30:00+00:00"),
        ("20261025020000", "Europe/London", "2026-10-25T02:00:00+00:00"),
        ("20260308023000", "America/New_York", "2026-03-08T07:30:00+00:00"),
        ("20261101013000", "America/New_York", "2026-11-01T05:30:00+00:00"),
    ],
)
def test_civil_times_take_the_zone_and_in_doubt_the_earlier_offset(
    given: str, zone: str, read: str
) -> None:
    moment = read_moment(given, ZoneInfo(zone))
    assert moment is not None
    assert moment.at.isoformat() == read


@pytest.mark.spec("hl7-api", "time stamps")
@settings(max_examples=100, deadline=None, database=None)
@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda civil: 1800 <= civil.year <= 9990),
    st.integers(-14 * 60 + 1, 14 * 60 - 1),
)
def test_any_instant_comes_back_from_how_it_is_written(civil: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = (
        f"{civil.year:04}{civil:%m%d%H%M%S}.{civil.microsecond // 100:04}{sign}{hours:02}{rest:02}"
    )
    moment = read_moment(text, LONDON)
    assert moment is not None
    cut = civil.replace(microsecond=civil.microsecond // 1000 * 1000)
    assert moment.at == cut - timedelta(minutes=minutes)


@pytest.mark.spec("hl7-api", "time stamps: date of birth")
@pytest.mark.parametrize(
    "given",
    [
        "19700101",
        "197001010030",
        "19700101233000-0500",
        "19700101000000+1400",
        "197001012359.5"[:12],
        "19700101120000.1234",
    ],
)
def test_a_date_of_birth_is_the_literal_day(given: str) -> None:
    assert read_day(given) == date(1970, 1, 1)


@pytest.mark.spec("hl7-api", "time stamps: date of birth")
@pytest.mark.parametrize(
    "given", ["1970", "197001", "19700231", "1970010", "01/01/1970", "197001011"]
)
def test_half_a_date_of_birth_is_refused(mailco: Sender, given: str) -> None:
    ack = mailco.send(a28(born=given))
    assert verdict(ack) == "AR"
    assert f"PID-7.1 (date of birth) must be a date YYYYMMDD. You provided [{given}]" in told(ack)


@pytest.mark.spec("hl7-api", "time stamps: date of birth")
def test_the_day_of_birth_is_the_same_in_every_zone(mailco: Sender, royal: Organisation) -> None:
    royal.time_zone = "Pacific/Auckland"
    royal.save()
    mailco.send(a28(born="197001012330-1200"))
    assert Patient.objects.get().born_on == date(1970, 1, 1)


@pytest.mark.spec("decisions", "time: zones")
def test_without_an_offset_the_organisations_zone_is_taken(
    pas: Sender, royal: Organisation
) -> None:
    royal.time_zone = "Asia/Tokyo"
    royal.save()
    pas.send(a28())
    pas.send(siu(sch="||||||^Check-up||||^^^20260301090000^20260301093000"))
    appointment = Appointment.objects.get()
    assert appointment.starts_at == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    assert appointment.ends_at == datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: zones")
def test_the_source_teams_zone_goes_before_the_organisations(
    pas: Sender, royal: Organisation
) -> None:
    royal.time_zone = "Asia/Tokyo"
    royal.save()
    team = factories.TeamFactory(organisation=royal, time_zone="America/New_York")
    factories.TeamAliasFactory(team=team, value="newyork")
    pas.send(a28())
    pas.send(siu(facility="newyork", sch="||||||||||^^^20260301090000"))
    assert Appointment.objects.get().starts_at == datetime(2026, 3, 1, 14, 0, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: zones")
def test_a_team_without_a_zone_has_that_of_its_organisation(
    pas: Sender, royal: Organisation
) -> None:
    royal.time_zone = "Asia/Tokyo"
    royal.save()
    team = factories.TeamFactory(organisation=royal)
    factories.TeamAliasFactory(team=team, value="clinic")
    pas.send(a28())
    pas.send(siu(facility="clinic", sch="||||||||||^^^20260301090000"))
    assert Appointment.objects.get().starts_at == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: zones")
def test_an_offset_goes_before_every_zone(pas: Sender, royal: Organisation) -> None:
    royal.time_zone = "Asia/Tokyo"
    royal.save()
    pas.send(a28())
    pas.send(siu(sch="||||||||||^^^20260301090000+0100"))
    assert Appointment.objects.get().starts_at == datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: zones")
def test_a_partners_times_are_read_in_the_controllers_zone(
    mailco: Sender, royal: Organisation, riverside: Organisation, grant: Grant
) -> None:
    riverside.time_zone = "Asia/Tokyo"
    riverside.save()
    delegate(controller=riverside, connecting=royal, by=grant.granted_by)
    mailco.send(a28())
    ack = mailco.send(siu(facility="trustalias{riversidealias}", sch="||||||||||^^^20260301090000"))
    assert verdict(ack) == "AA"
    assert Appointment.objects.get().starts_at == datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: zones")
def test_the_message_time_itself_is_read_in_the_zone(pas: Sender, royal: Organisation) -> None:
    royal.time_zone = "Asia/Tokyo"
    royal.save()
    pas.send(a28(sent="20260101120000"))
    assert Patient.objects.get().entered_at == datetime(2026, 1, 1, 3, 0, tzinfo=UTC)


@pytest.mark.spec("decisions", "time: precision")
def test_the_precision_that_was_given_is_kept(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(siu(sch="||||||||||^^^20260301^20260301123015.25"))
    appointment = Appointment.objects.get()
    assert appointment.starts_precision == "day"
    assert appointment.ends_precision == "millisecond"
    mailco.send(mdm().replace("20260102090000+0000", "202601"))
    assert Document.objects.get().written_precision == "month"
    mailco.send(a28(control_id="2", rest="|M" + "|" * 21 + "2025|Y"))
    patient = Patient.objects.get()
    assert (patient.died_precision, patient.is_deceased) == ("year", True)


@pytest.mark.spec("hl7-api", "time stamps: half a component")
@pytest.mark.parametrize(
    ("message", "place"),
    [
        (a28(sent="2026010112000"), "MSH-7.1"),
        (siu(sch="||||||||||^^^2026030109300"), "SCH-11.4"),
        (siu(sch="||||||||||^^^20260301093000^2026030"), "SCH-11.5"),
        (mdm().replace("20260102090000+0000", "2026010209000"), "TXA-4.1"),
        (a28(rest="|M" + "|" * 21 + "2026010"), "PID-29.1"),
    ],
)
def test_half_a_time_stamp_is_refused_with_its_place(
    mailco: Sender, message: str, place: str
) -> None:
    mailco.send(a28(control_id="first"))
    ack = mailco.send(message)
    assert verdict(ack) == "AR"
    assert f"{place} (" in told(ack)
    assert "must be a time stamp YYYYMMDDHHMMSS+ZZZZ. You provided [" in told(ack)
