"""Promises about the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from django.apps import apps

from hl7ingest.models import HeldMessage, Outcome
from pkb.models import Configured

ROOT = Path(__file__).parent.parent
APPS = ("config", "pkb", "partners", "records", "hl7ingest")
SOURCES = sorted(
    path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    source = path.read_text()
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert source.count("\n") <= 400
    assert [f.name for f in functions if f.end_lineno and f.end_lineno - f.lineno >= 50] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_public_parts_say_what_they_promise(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if not tree.body or path.name in {"apps.py", "urls.py"} or path.parent.name == "config":
        return
    public = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not ast.get_docstring(node)
    ]
    pages = ("Command", "Admin", "Form", "Inline", "Field")  # the framework says what these are

    assert ast.get_docstring(tree), "the module has no docstring"
    assert [name for name in public if not name.startswith("_") and not name.endswith(pages)] == []


def test_what_decides_is_never_changed_behind_the_configurations_back() -> None:
    """QuerySet.update() and bulk writes would go unnoticed by the other processes."""
    names = {model.__name__ for model in apps.get_models() if issubclass(model, Configured)}
    written = re.compile(
        rf"\b({'|'.join(sorted(names))})\.objects\b[^;]*?\.(update|bulk_update|bulk_create)\("
    )
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in SOURCES
        for statement in ast.walk(ast.parse(path.read_text()))
        if isinstance(statement, ast.Expr | ast.Assign)
        and (match := written.search(ast.unparse(statement)))
    }
    # When a secret was last used decides nothing
    assert {one for one in found if "hl7ingest/inbox.py: Secret" not in one} == set()


def test_every_state_of_a_message_has_an_owner() -> None:
    assert set(Outcome.State.values) == {"applied", "held", "failed", "rejected"}
    assert set(HeldMessage.Verdict.values) == {"approved", "rejected", "released"}


def test_migrations_are_named_for_what_they_do() -> None:
    names = [path.stem for app in APPS for path in (ROOT / app).glob("migrations/0*.py")]

    assert [name for name in names if "auto" in name or "alter" in name] == []


def test_nothing_tells_of_the_machine_it_was_written_on() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    homes = re.compile(r"/(home|root|Users|work)/\w")
    found = [
        name
        for name in files
        if name.endswith((".py", ".md", ".toml", ".html", "Makefile", "Procfile"))
        and homes.search((ROOT / name).read_text())
    ]

    assert set(found) <= {"tests/test_repository.py"}
