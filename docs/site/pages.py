"""Puts together what Sphinx builds: the pages of the repository as they are, and pages made of the code.

`python docs/site/pages.py DIRECTORY`, run by `make docs` and `make man`. A page keeps its place, so that links between
pages hold; a link to a file that is no page takes the file along, and a link to a folder becomes its name.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from drivers import registry
from edge import cli

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_SIM = {"serve": "simulated hardware", "record": "recordings of the simulated world", "verify": "truth against MQTT"}

_FILES = (
    "`/etc/borderflow/borderflow.toml`\n: the configuration of a lane computer\n",
    "`/etc/borderflow/centre/collect.toml`\n: the configuration of a centre's collector\n",
    "`/var/lib/borderflow`\n: the journal\n",
    "`/run/borderflow/eyes.sock`\n: what `borderflow status` and the page ask\n",
    "`/usr/share/doc/borderflow`\n: everything else",
)

INDEX = """# borderflow

```{toctree}
:maxdepth: 1
:caption: Begin

README
docs/commissioning
docs/on-call
docs/lane-page
pictures
```

```{toctree}
:maxdepth: 1
:caption: How it works

docs/weighing
docs/waits
docs/delivery
docs/privacy
docs/standards
docs/centre
```

```{toctree}
:maxdepth: 2
:caption: Reference

docs/messages
docs/configuration
commands/index
drivers/index
docs/device-sheets
findings
CHANGELOG
```

```{toctree}
:maxdepth: 1
:caption: Carry it on

CONTRIBUTING
docs/write-a-driver
docs/simulator
docs/simulated-world
tests/README
```
"""


def main(out: Path) -> None:
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    pages = sorted(
        {*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md"), ROOT / "tests/README.md"}
    )
    listed = set(re.findall(r"^[\w./-]+$", INDEX, re.MULTILINE))
    for page in pages:
        name = page.relative_to(ROOT)
        text = _with_links(page, set(pages), out)
        if str(name.with_suffix("")) not in listed:
            text = f"---\norphan: true\n---\n\n{text}"  # reached by links alone
        _write(out / name, text)
    _write(out / "index.md", INDEX)
    _write(out / "pictures.md", "# Pictures\n\n`make docs` puts them here.\n")  # by docs/site/pictures.py
    _drivers(out / "drivers")
    _findings(out)
    _commands(out)
    shutil.copy(Path(__file__).parent / "conf.py", out / "conf.py")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_links(page: Path, pages: set[Path], out: Path) -> str:
    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        file = (page.parent / target).resolve()
        if file in pages:
            return f"[{text}]({target}{anchor})"
        if not file.is_file():
            return f"{text} (`{target}`)" if text != target else f"`{target}`"
        copy = out / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
        return f"{{download}}`{text.replace('`', '')} <{target}>`"

    parts = re.split(r"(^```.*?^```$)", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _drivers(out: Path) -> None:
    """A page for each driver: what it reads, its options, and what its file says of the device."""
    rows = ["| driver | url | what it reads |", "| --- | --- | --- |"]
    names = []
    for entry in registry.catalogue():
        if entry.package != registry.OWN_PACKAGE:
            continue
        names.append(entry.name)
        rows.append(f"| [{entry.name}]({entry.name}.md) | {' '.join(entry.schemes)} | {entry.summary} |")
        _write(out / f"{entry.name}.md", "\n".join(_driver(entry)) + "\n")
    toctree = ["```{toctree}", ":hidden:", "", *names, "```"]
    about = "Made from the drivers themselves; `borderflow drivers NAME` prints the same."
    _write(out / "index.md", "\n".join(["# Drivers", "", about, "", *rows, "", *toctree]) + "\n")


def _driver(entry: registry.Entry) -> Iterator[str]:
    yield from (f"# {entry.name}", "", f"{entry.summary[:1].upper()}{entry.summary[1:]}.", "")
    yield from (f"URL: {', '.join(f'`{scheme}://`' for scheme in entry.schemes)}", "", "## `[device.options]`", "")
    if options := registry.describe(entry.name):
        yield from ("| option | type | default | unit | meaning |", "| --- | --- | --- | --- | --- |")
        for option in options:
            default = f"`{option.default}`" if option.default else ""
            cells = (f"`{option.name}`", option.type, default, option.unit, option.text)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    else:
        yield "None."
    yield from ("", "## The device", "", registry.manual(entry.name))  # Markdown enough: paragraphs, indented layouts


def _findings(out: Path) -> None:
    """What the comments at the head of each finding say."""
    lines = [
        "# Findings",
        "",
        "Where a library, a broker or a device's software does otherwise than one would expect. Each is a program of",
        "its own in `findings/`, which shows it without borderflow and exits 0 while it is still so.",
    ]
    for file in sorted((ROOT / "findings").glob("*.sh")):
        head: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines()[1:]:
            if not line.startswith("#"):
                break
            head.append(line.lstrip("# "))
        lines += ["", f"## {file.stem}", "", *(head or ["See the file."])]
    _write(out / "findings.md", "\n".join(lines) + "\n")


def _commands(out: Path) -> None:
    """A page for each command, from its parser, and one that lists them; the manual pages are made of the same."""
    ours = [(f"borderflow-{name}", "borderflow", name, text) for name, (_, text) in cli.COMMANDS.items()]
    theirs = [(f"borderflow-sim-{name}", "borderflow-sim", name, text) for name, text in _SIM.items()]
    lines = ["# Commands", "", "Each has a page of its own, and `--help`.", ""]
    manual = ["borderflow\tcommands/index\tedge software for border crossings"]
    for page, program, name, text in (*ours, *theirs):
        lines += [f"[{program} {name}]({page}.md)", f": {text}", ""]
        manual.append(f"{page}\tcommands/{page}\t{text}")
        _write(out / "commands" / f"{page}.md", _command(program, name, text))
    lines += ["## Exit status", "", *_exit_status(), ""]
    lines += ["## Files of a package", "", *_FILES, ""]
    lines += ["```{toctree}", ":hidden:", "", *(page for page, *_ in (*ours, *theirs)), "```"]
    _write(out / "commands/index.md", "\n".join(lines) + "\n")
    _write(out / "manual.txt", "\n".join(manual) + "\n")


def _exit_status() -> Iterator[str]:
    """The constants of edge/exit_codes.py with the comment behind each."""
    source = (ROOT / "edge/exit_codes.py").read_text(encoding="utf-8")
    yield from ("`0`", ": done", "")
    for code, text in re.findall(r"^EXIT_\w+: Final = (\d+)  # (?:EX_[A-Z, _]+: )?(.+)$", source, re.MULTILINE):
        yield from (f"`{code}`", f": {text}", "")


def _command(program: str, name: str, text: str) -> str:
    parser = _parser(program, name)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)  # type: ignore[assignment]
    usage = re.sub(r"^usage: ", "", parser.format_usage()).rstrip()
    lines = [
        f"# {program} {name}",
        "",
        f"{text[:1].upper()}{text[1:]}.",
        "",
        "## Synopsis",
        "",
        "```text",
        usage,
        "```",
    ]
    module = sys.modules.get(cli.COMMANDS[name][0]) if program == "borderflow" else None
    if module is not None and module.__doc__ and (rest := module.__doc__.partition("\n\n")[2].strip()):
        lines += ["", "## Description", "", rest]
    lines += ["", "## Options", ""]
    for action in parser._actions:
        if action.help is argparse.SUPPRESS:
            continue
        said = (action.help or "") % {**vars(action), "prog": parser.prog}
        lines += [f"`{_invocation(action)}`", f": {said or 'see the synopsis'}", ""]
    return "\n".join(lines) + "\n"


def _parser(program: str, name: str) -> argparse.ArgumentParser:
    if program == "borderflow":
        parser = argparse.ArgumentParser(prog=f"{program} {name}")
        importlib.import_module(cli.COMMANDS[name][0]).add_arguments(parser)
        return parser
    from firmware_sim import cli as sim

    return sim.parsers()[name]


def _invocation(action: argparse.Action) -> str:
    value = (
        argparse.HelpFormatter("")._format_args(action, (action.metavar or action.dest).upper())
        if action.nargs != 0
        else ""
    )
    return ", ".join(f"{option} {value}".rstrip() for option in action.option_strings) or value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
