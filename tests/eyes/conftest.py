from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eyes_bench import EyesBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[EyesBench]:
    with EyesBench(tmp_path) as made:
        yield made
