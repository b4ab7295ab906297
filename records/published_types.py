"""The identifier types that come with the installation. Staff may change them, and add more."""

from typing import Any

# Published: NHS, PKB and EMAIL. Ours, as PKB does not publish theirs: CHI, HCN.
PUBLISHED: list[dict[str, str]] = [
    {"name": "PKB public id", "authority": "PKB", "type_code": "PI", "scope": "system"},
    {"name": "E-mail address", "authority": "EMAIL", "type_code": "EMAIL", "scope": "email"},
    {
        "name": "NHS number",
        "authority": "NHS",
        "type_code": "NH",
        "scope": "national",
        "country": "GB-ENG",
        "check_digit": "nhs",
    },
    {
        "name": "CHI number",
        "authority": "CHI",
        "type_code": "NH",
        "scope": "national",
        "country": "GB-SCT",
        "check_digit": "nhs",
    },
    {
        "name": "Health and Care number",
        "authority": "HCN",
        "type_code": "NH",
        "scope": "national",
        "country": "GB-NIR",
        "check_digit": "nhs",
    },
]


def install(model: Any) -> None:
    """Add those that are missing."""
    for row in PUBLISHED:
        key = {name: row[name] for name in ("authority", "type_code")}
        model.objects.get_or_create(**key, organisation=None, defaults=row)
