"""The tables that ship with the package (edge/weighing/tables/*.toml): a name and a type in, typed immutable rows out.

Called by classification, axle groups, limits and conformity. Every table says where its numbers come from and whether
they were compared with that source; what is only recalled is named so wherever the software prints a claim.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T", bound="TableFile")


class About(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a table comes from. `verified`: every number was read in the source; `recalled`: none was."""

    name: str
    source: str
    effective: str
    status: Literal["verified", "partly verified", "recalled"]
    note: str = ""

    @property
    def caution(self) -> str | None:
        """One line for whoever reads a result that rests on this table; None where the table is verified."""
        if self.status == "verified":
            return None
        how = "recalled, not compared with" if self.status == "recalled" else "only partly compared with"
        return f"{self.name}: {how} the printed source"


class TableFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any table file; its own rows are fields of a subclass."""

    about: About


def load_table(name: str, type_: type[T]) -> T:
    """The table `edge/weighing/tables/{name}.toml` as `type_`.

    Raises FileNotFoundError for an unknown name and msgspec.ValidationError, with the place in the file, for a row that
    does not fit; both are faults of the package, not of its user.
    """
    table = _decoded(name, type_)
    assert isinstance(table, type_)
    return table


@cache
def _decoded(name: str, type_: type[TableFile]) -> TableFile:
    return msgspec.toml.decode((files("edge.weighing") / "tables" / f"{name}.toml").read_bytes(), type=type_)
