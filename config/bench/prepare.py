"""Prepare the bench's database: migrate, load the demonstration, insert patients in bulk.

Run as a program of its own, with the bench's environment: `python -m config.bench.prepare 20000`.
The patients are rows inserted through the models, not messages: that is quick, and leaves the
same rows as an A28 each (record, two identifiers, a link to the team).
"""

import os
import sys
import uuid
from datetime import UTC, datetime

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from config import demonstration  # noqa: E402  (the models need the settings)
from config.bench.messages import Person, people  # noqa: E402
from pkb.models import Organisation  # noqa: E402
from records.models import (  # noqa: E402
    IdentifierType,
    Patient,
    PatientIdentifier,
    PatientTeam,
    Source,
)

AT_ONCE = 2000
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)  # older than anything that the bench sends


def main(amount: int) -> None:
    """Fill the empty database."""
    call_command("migrate", verbosity=0, interactive=False)
    demonstration.load()
    royal = Organisation.objects.get(name=demonstration.ROYAL)
    source = Source.objects.get(partner=None, connecting=royal, controller=royal, team=None)
    everybody = people(amount)
    for start in range(0, amount, AT_ONCE):
        _insert(everybody[start : start + AT_ONCE], royal, source)


def _insert(some: list[Person], royal: Organisation, source: Source) -> None:
    national = IdentifierType.objects.get(authority="NHS", type_code="NH")
    local = IdentifierType.objects.get(organisation=royal, type_code="MR")
    team = royal.default_team
    assert team
    ids = [uuid.uuid4() for _ in some]
    Patient.objects.bulk_create(
        Patient(
            id=patient_id,
            family_name=one.family,
            given_name=one.given,
            born_on=datetime.strptime(one.born, "%Y%m%d").replace(tzinfo=UTC).date(),
            source=source,
            origin=source,
            entered_at=BEFORE,
            created_at=BEFORE,
            updated_at=BEFORE,
        )
        for patient_id, one in zip(ids, some, strict=True)
    )
    PatientIdentifier.objects.bulk_create(
        PatientIdentifier(
            patient_id=patient_id,
            type=kind,
            value=value,
            status=status,
            is_national=kind is national,
            source=source,
            created_at=BEFORE,
        )
        for patient_id, one in zip(ids, some, strict=True)
        for kind, value, status in ((national, one.number, "01"), (local, one.local, ""))
    )
    PatientTeam.objects.bulk_create(
        PatientTeam(
            patient_id=patient_id,
            team=team,
            organisation=royal,
            source=source,
            created_at=BEFORE,
        )
        for patient_id in ids
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
