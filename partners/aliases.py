"""MSH-4: `connecting-alias{data-controller-alias}`. Source: Partner connections."""

import re
from dataclasses import dataclass

_SYNTAX = re.compile(r"(?P<connecting>[^{}\s]+)\{(?P<controller>[^{}\s]+)\}")


class BadAliasPair(ValueError):
    """MSH-4 is not in the form `connecting{controller}`."""


@dataclass(frozen=True, slots=True)
class AliasPair:
    """The two aliases a partner names: who connects it, and whose data it is."""

    connecting: str
    controller: str

    @classmethod
    def parse(cls, text: str) -> "AliasPair":
        """Read MSH-4.

        >>> AliasPair.parse("trustalias{trustalias}")
        AliasPair(connecting='trustalias', controller='trustalias')
        """
        if not (found := _SYNTAX.fullmatch(text)):
            raise BadAliasPair
        return cls(**found.groupdict())
