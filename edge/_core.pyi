"""The compiled core (csrc/), as mypy sees it."""

from typing import Any

ffi: Any
lib: Any
