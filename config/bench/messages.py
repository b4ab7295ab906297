"""The messages that the bench sends: made beforehand, each one fresh, about 0.7 KB.

Nobody here exists: the NHS numbers are of the 999 test range, above those of the demonstration.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

FIRST_NUMBER = 999100000  # the first nine digits of the first patient's NHS number
FACILITY = "trustalias{trustalias}"
GIVEN = ("Adele", "Bertram", "Cecily", "Desmond", "Edwina", "Fergus", "Greta", "Hamish")
FAMILY = ("Ashworth", "Birtwistle", "Crompton", "Duckworth", "Entwistle", "Fairclough", "Grimshaw")
BORN_FROM = datetime(1930, 1, 1, tzinfo=UTC)
DAYS = 90 * 365
SETTLED = 400  # appointments back: long enough ago that a change may refer to it
A31_SHARE, SIU_SHARE = 0.40, 0.35  # and MDM the rest


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic patient; the same for the same place in the list."""

    number: str
    local: str
    family: str
    given: str
    born: str


def people(amount: int, *, start: int = 0) -> list[Person]:
    """Return `amount` patients from place `start` on, each with an NHS number of its own."""
    return [_person(number) for number, _ in zip(_numbers(start), range(amount), strict=False)]


def _numbers(start: int) -> Iterator[str]:
    """Yield NHS numbers that pass modulus 11."""
    found = 0
    for nine in count(FIRST_NUMBER):
        digits = str(nine)
        rest = 11 - sum((10 - i) * int(digit) for i, digit in enumerate(digits)) % 11
        if rest == 10:
            continue
        if found >= start:
            yield f"{digits}{rest % 11}"
        found += 1


def _person(number: str) -> Person:
    place = int(number[3:9])
    born = BORN_FROM + timedelta(days=place * 7919 % DAYS)
    return Person(
        number=number,
        local=f"B{number[3:]}",
        family=f"{FAMILY[place % len(FAMILY)]}-{place}",
        given=GIVEN[place % len(GIVEN)],
        born=f"{born:%Y%m%d}",
    )


class Maker:
    """Makes messages; no two are the same, and each says that it is newer than the one before."""

    def __init__(self, patients: list[Person], seed: int = 1) -> None:
        self._patients = patients
        self._random = random.Random(seed)  # noqa: S311  (a repeatable load, no secret)
        self._now = datetime.now(UTC)
        self._booked: list[tuple[Person, str]] = []

    def a28s(self, amount: int) -> list[bytes]:
        """Return A28s for patients that are in the records."""
        return [self._demographics("A28", self._anyone()) for _ in range(amount)]

    def first_a28s(self, amount: int, start: int) -> list[bytes]:
        """Return A28s that each start a record; `start`: patients that there are already."""
        return [self._demographics("A28", one) for one in people(amount, start=start)]

    def mixed(self, amount: int) -> list[bytes]:
        """Return 40 % A31, 35 % SIU (S12, S13, S15) and 25 % MDM T02 with a short text."""
        return [self._one_of_mixed() for _ in range(amount)]

    def _one_of_mixed(self) -> bytes:
        share = self._random.random()
        if share < A31_SHARE:
            return self._demographics("A31", self._anyone())
        if share < A31_SHARE + SIU_SHARE:
            return self._appointment()
        return self._document()

    def _anyone(self) -> Person:
        return self._random.choice(self._patients)

    def _msh(self, kind: str) -> str:
        self._now += timedelta(milliseconds=1)
        sent = f"{self._now:%Y%m%d%H%M%S}.{self._now.microsecond // 1000:03}0+0000"
        control_id = uuid.UUID(int=self._random.getrandbits(128))
        return f"MSH|^~\\&|Bench|{FACILITY}|HL7API|PKB|{sent}||{kind}|{control_id}|P|2.4\r"

    def _pid(self, one: Person) -> str:
        house, phone = self._random.randrange(1, 400), self._random.randrange(10**6)
        return (
            f"PID|1||{one.number}^^^NHS^NH{{status:01}}~{one.local}^^^ROYAL^MR||"
            f"{one.family}^{one.given}^Middle^^Mx||{one.born}|F|||"
            f"{house} Example Street^Demonstration Court^Exampleton^Exampleshire^ZZ99 3VZ^GBR||"
            f"01632{phone:06}^PRN~07700{phone:06}^PRS|01632{phone:06}^WPN|en\r"
        )

    def _demographics(self, event: str, one: Person) -> bytes:
        return (
            f"{self._msh(f'ADT^{event}')}EVN|{event}|20260101120000\r{self._pid(one)}"
            "PD1||||G8100000^Example^Gillian^^^Dr^^^^^^^GMP||||||||||\r"
            "NK1|1|Example^Nearest^^^Mx|SPO^Spouse^HL70063|1 Example Street^^Exampleton^^ZZ99 3VZ\r"
            "PV1|1|O|^^^^^^^^Example outpatients|||||G8100000^Example^Gillian^^^Dr|||||||||||||||\r"
        ).encode()

    def _appointment(self) -> bytes:
        event, booked = self._random.choice(("S12", "S12", "S13", "S15")), self._booked
        if event != "S12" and len(booked) > SETTLED:
            one, placer = booked[self._random.randrange(len(booked) - SETTLED)]
        else:
            event, one, placer = "S12", self._anyone(), str(uuid.uuid4())
            booked.append((one, placer))
        hour = self._random.randrange(8, 18)
        return (
            f"{self._msh(f'SIU^{event}')}{self._pid(one)}"
            f"SCH|{placer}||||||^Check-up|FOLLOWUP^Follow-up^L|30|min|"
            f"^^^20270301{hour:02}0000+0000^20270301{hour:02}3000+0000\r"
            "NTE|1||Please bring a list of the medicines that you take.\r"
            "PV1|1|O|^^^^^^^^Example outpatients, level 2|||||||CAR\r"
            "RGS|1|A\rAIP|1|A|G8100000^Example^Gillian^^^Dr|CON^Consultant\r"
        ).encode()

    def _document(self) -> bytes:
        return (
            f"{self._msh('MDM^T02')}{self._pid(self._anyone())}"
            f"TXA|1|CL||20260102090000+0000||||||||{uuid.uuid4()}||||letter.txt|AU\r"
            "OBX|1|TX|||Dear patient, thank you for coming to our clinic. Everything was as we "
            "had hoped, and we should like to see you again in twelve months.\r"
        ).encode()


def requests(messages: list[bytes], port: int, username: str, secret: str) -> list[bytes]:
    """Return each message as the HTTP request that carries it."""
    authorization = base64.b64encode(f"{username}:{secret}".encode()).decode()
    head = (
        f"POST /hl7 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {authorization}\r\n"
        "Content-Type: application/hl7-v2\r\nContent-Length: "
    ).encode()
    return [head + b"%d\r\n\r\n" % len(message) + message for message in messages]
