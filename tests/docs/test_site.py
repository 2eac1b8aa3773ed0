"""What `make docs` and `make man` build from: a page for each command, driver and finding, links that hold."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from drivers import registry
from edge import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs/site/pages.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    out = tmp_path_factory.mktemp("site") / "source"
    pages.main(out)
    return out


def test_each_command_has_a_page_with_its_options_and_a_manual_page(source: Path) -> None:
    manual = [line.split("\t") for line in (source / "manual.txt").read_text().splitlines()]
    assert {name for name, _, _ in manual} >= {"borderflow", *(f"borderflow-{name}" for name in cli.COMMANDS)}
    for _, page, text in manual:
        assert (source / f"{page}.md").exists()
        assert text
    watch = (source / "commands/borderflow-watch.md").read_text()
    assert "`--lang {en,fr,es}`\n: language" in watch
    assert "`--speed X`" in (source / "commands/borderflow-sim-serve.md").read_text()
    assert "`78`" in (source / "commands/index.md").read_text()


def test_each_driver_has_a_page_made_from_its_model(source: Path) -> None:
    for entry in registry.catalogue():
        if entry.package == registry.OWN_PACKAGE:
            page = (source / "drivers" / f"{entry.name}.md").read_text()
            assert all(f"| `{option.name}` |" in page for option in registry.describe(entry.name))
            assert registry.manual(entry.name) in page


def test_each_finding_is_listed_with_what_it_is_about(source: Path) -> None:
    page = (source / "findings.md").read_text()
    for file in (ROOT / "findings").glob("*.sh"):
        assert f"## {file.stem}\n\n" in page
    assert "See the file." not in page


def test_links_between_pages_hold_and_what_is_listed_is_there(source: Path) -> None:
    for name in re.findall(r"^[\w./-]+$", (source / "index.md").read_text(), re.MULTILINE):
        assert (source / f"{name}.md").exists(), name
    count = 0
    for page in source.rglob("*.md"):
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                count += 1
                assert (page.parent / target).resolve().exists(), (page, target)
    assert count > 50
