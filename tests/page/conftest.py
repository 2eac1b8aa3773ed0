from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eyes_bench import TOKEN, EyesBench
from served import served

from edge.page.app import Page
from edge.page.feed import Feed
from edge.web.guard import Guard


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[EyesBench]:
    with EyesBench(tmp_path) as made:
        yield made


@pytest.fixture
def port(bench: EyesBench) -> Iterator[int]:
    """The page of the bench, with a token."""
    with served(Guard(Page(Feed(bench.config_path), TOKEN).app(), writes=True)) as number:
        yield number
