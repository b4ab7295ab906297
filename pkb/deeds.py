"""What can be done to a row beside editing it: told beforehand, confirmed, done by POST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django import forms
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from pkb.permissions import is_platform_staff

Row = TypeVar("Row", bound=models.Model)
Outcome = str | HttpResponse


def staff_only(request: HttpRequest, row: Any) -> bool:  # noqa: ARG001  (every rule has one shape)
    """Return whether whoever asks runs the platform."""
    return is_platform_staff(request.user)


def always(row: Any) -> bool:  # noqa: ARG001
    """Return that it can be done whatever state the row is in."""
    return True


def no_questions(row: Any, *args: Any, **kwargs: Any) -> forms.Form:  # noqa: ARG001
    """Return a form that only asks for confirmation."""
    return forms.Form(*args, **kwargs)


@dataclass(frozen=True)
class Deed(Generic[Row]):
    """One thing that can be done to a row, by whom, when, and what will come of it.

    `do` returns what to tell afterwards, or a page of its own where that must be shown at once.
    """

    slug: str
    label: str
    tells: Callable[[Row], list[str]]
    do: Callable[[HttpRequest, Row, dict[str, Any]], Outcome]
    may: Callable[[HttpRequest, Row], bool] = staff_only
    when: Callable[[Row], bool] = always
    form: Callable[..., forms.Form] = no_questions
    is_grave: bool = False  # cannot be taken back
    has_button: bool = True  # False: it is reached from a line of a table


class Choose(forms.Form):
    """Asks for one of several rows of something that belongs to the page."""

    chosen = forms.ModelChoiceField[Any](
        queryset=None, widget=forms.RadioSelect, empty_label=None, error_messages={}
    )

    def __init__(
        self,
        rows: QuerySet[Any],
        label: str,
        describe: Callable[[Any], str],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["chosen"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows
        field.label = label
        field.label_from_instance = describe  # type: ignore[method-assign,assignment]
