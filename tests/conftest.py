"""The cast, and how tests send messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from hl7ingest.process import drain
from hl7ingest.receive import Answered, receive
from hl7ingest.wake import waker
from partners.authentication import authenticate
from partners.models import Credential, Grant, Partner
from partners.registry import registry
from pkb.configuration import clock
from pkb.models import Organisation, User
from records import identification, workspace
from tests import factories
from tests.messages import basic

MESSAGES = Path(__file__).parent / "messages"


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a database of its own, and so a configuration of its own."""
    clock.forget()
    registry.forget()
    identification.types.forget()
    workspace._sources.clear()
    monkeypatch.setattr(waker, "wake", lambda: None)


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """A slow hash is right for people and of no use to tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def files_of_its_own(settings: Any, tmp_path: Path) -> None:
    """Attachments go to a folder of the test."""
    settings.STORAGES = settings.STORAGES | {
        "default": settings.STORAGES["default"] | {"OPTIONS": {"location": str(tmp_path / "files")}}
    }


@pytest.fixture
def hl7() -> Callable[[str], str]:
    """Read a message from tests/messages by name, its segments ended by CR."""
    return lambda name: (MESSAGES / f"{name}.hl7").read_text().replace("\n", "\r")


@dataclass
class Sender:
    """Sends messages as the holder of a credential, and lets the worker finish."""

    credential: Credential
    address: str = "127.0.0.1"

    def answer(self, message: str | bytes, *, process: bool = True, charset: str = "") -> Answered:
        """Return how the message is answered."""
        clock.forget()  # a test changes the configuration and expects it to hold at once
        caller = authenticate(
            registry.get(),
            basic(self.credential.username, factories.SECRET),
            ip_address(self.address),
            timezone.now(),
        )
        raw = message if isinstance(message, bytes) else message.encode()
        answered = receive(raw, caller, charset)
        if process:
            drain()
        return answered

    def send(self, message: str | bytes, *, process: bool = True, charset: str = "") -> str:
        """Return the text of the acknowledgement."""
        return self.answer(message, process=process, charset=charset).ack.text


@pytest.fixture
def royal(db: None) -> Organisation:
    """A Customer with a default team; MailCo calls it `trustalias`."""
    return factories.OrganisationFactory(name="Royal Example NHS Trust")


@pytest.fixture
def riverside(db: None) -> Organisation:
    """Another Customer; MailCo calls it `riversidealias`, and has no grant from it."""
    return factories.OrganisationFactory(name="Riverside Demonstration Hospital")


@pytest.fixture
def staff(db: None) -> User:
    """One of the platform staff."""
    return factories.UserFactory(username="staff", is_platform_staff=True)


@pytest.fixture
def royal_admin(royal: Organisation) -> User:
    """The Organisation Administrator of the Royal."""
    user = factories.UserFactory(username="royal.admin")
    factories.MembershipFactory(user=user, organisation=royal)
    return user


@pytest.fixture
def riverside_admin(riverside: Organisation) -> User:
    """The Organisation Administrator of the other Customer."""
    user = factories.UserFactory(username="riverside.admin")
    factories.MembershipFactory(user=user, organisation=riverside)
    return user


@pytest.fixture
def partner(db: None) -> Partner:
    return factories.PartnerFactory(name="MailCo")


@pytest.fixture
def grant(partner: Partner, royal: Organisation) -> Grant:
    """The Royal lets MailCo send everything, and amend the Royal's own data points."""
    return factories.GrantFactory(
        partner=partner, organisation=royal, data_scope=Grant.DataScope.CUSTOMER
    )


@pytest.fixture
def mailco(partner: Partner, royal: Organisation, riverside: Organisation, grant: Grant) -> Sender:
    """MailCo's connection, with a live grant from the Royal."""
    factories.AliasFactory(partner=partner, organisation=royal, value="trustalias")
    factories.AliasFactory(partner=partner, organisation=riverside, value="riversidealias")
    return Sender(factories.CredentialFactory(username="partner_mailco", partner=partner))


@pytest.fixture
def pas(royal: Organisation) -> Sender:
    """The Royal's own feed."""
    return Sender(factories.CredentialFactory(username="org_royal", organisation=royal))


@pytest.fixture
def riverside_pas(riverside: Organisation) -> Sender:
    """The other Customer's own feed."""
    return Sender(factories.CredentialFactory(username="org_riverside", organisation=riverside))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spec-matrix", action="store_true", help="print which test keeps which section"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--spec-matrix"):
        kept = [(*mark.args, item.nodeid) for item in items for mark in item.iter_markers("spec")]
        config.stash[_MATRIX] = kept


_MATRIX = pytest.StashKey[Iterable[tuple[str, ...]]]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--spec-matrix"):
        return
    sections: dict[str, list[str]] = {}
    for entry in sorted(config.stash[_MATRIX]):
        sections.setdefault(": ".join(entry[:-1]), []).append(entry[-1])
    for section, nodes in sections.items():
        terminalreporter.write_line(f"{section}  ({len(nodes)})")
        for node in nodes:
            terminalreporter.write_line(f"    {node}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MATRIX] = []
