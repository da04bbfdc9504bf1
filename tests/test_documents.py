"""The pages: every link leads somewhere, every command that they name exists with its options."""

from __future__ import annotations

import argparse
import html
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bundle.__main__ import COMMANDS
from scripts.tables.site import name_outside_files, separate_blocks

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").glob("*.md")]
    if "words" not in path.parts  # of which pages are made
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# the word "vessels" is a command between back quotes and in an indented block alone
COMMAND = re.compile(r"(?:python -m bundle|(?:`|^ {4})vessels) ([a-z]+)((?: [^`\n|&;…]+)?)", re.M)


def anchors(text: str) -> set[str]:
    """The places of a page that a link may name, as GitHub makes them of headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page):
    text = page.read_text(encoding="utf-8")
    wrong = []
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, place = link.partition("#")
        target = page if not name else page.parent / name
        if not target.exists() or (place and place not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    assert wrong == []


def options(command: str) -> set[str]:
    """The words that a command knows."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"bundle.commands.{command}").add_arguments(parser)
    return set(parser._option_string_actions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists_and_has_these_options(page):
    if page.name == "CHANGELOG.md":  # of earlier versions
        return
    wrong = []
    for command, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
        if command not in COMMANDS:
            wrong.append(command)
            continue
        try:
            words = shlex.split(rest, comments=True)
        except ValueError:  # prose
            words = rest.split()
        known = options(command)
        wrong += [f"{command} {word}" for word in words if word.startswith("--") and word.split("=")[0] not in known]
    assert wrong == []


PROGRAM = re.compile(r"python(?: -m (scripts(?:\.\w+)+)| (scripts/[\w/]+)\.py)((?: [^`\n|&;…#]+)?)")
EXTRA = re.compile(r"'?\.\[(\w+)\]'?")
CHECK = re.compile(r"check_platforms\.sh ([a-z]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_extra_and_check_that_a_page_names_exists(page):
    """Programs of the repository with their options, extras, and platforms."""
    if page.name == "CHANGELOG.md":
        return
    text = page.read_text(encoding="utf-8")
    wrong = []
    for module, path, rest in PROGRAM.findall(text):
        place = ROOT.joinpath(*(module.split(".") if module else path.split("/")))
        files = [file for file in (place.with_suffix(".py"), place / "__main__.py") if file.is_file()]
        source = "".join(file.read_text(encoding="utf-8") for file in [*files, *place.glob("*.py")])
        options = re.findall(r"(?<=\s)--[\w-]+", rest)
        wrong += [] if files else [module or path]
        wrong += [f"{module or path} {word}" for word in options if files and f'"{word}"' not in source]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wrong += [extra for extra in EXTRA.findall(text) if extra not in project["optional-dependencies"]]
    platforms = {file.stem.removeprefix("check_") for file in (ROOT / "scripts" / "platforms").glob("check_*.py")}
    wrong += [name for name in CHECK.findall(text) if name not in platforms]
    assert wrong == []


def test_the_site_is_built_without_a_warning_and_no_list_or_table_stays_text(tmp_path):
    words = ["build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "mkdocs", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "words" not in path.parts]
    made = [path for path in tmp_path.rglob("*.html") if path.name != "404.html"]
    assert len(made) == len(pages) > 30
    for page in made:
        (article,) = re.findall(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.S)
        text = re.sub(r"<(pre|code|h\d).*?</\1>", "", article, flags=re.S)
        lines = html.unescape(re.sub(r"<[^>]+>", "", text)).splitlines()
        assert [line for line in lines if re.match(r"\| .* \|$|[-*] |\d+\. ", line)] == [], page


def test_the_site_names_what_lies_outside_of_it_and_keeps_lists_as_lists():
    text = "[train.yaml](../../configs/train.yaml), [top](../../README.md), [a](python.md#segment), [b](../paper.md)"
    named = "`configs/train.yaml`, top (`README.md`), [a](python.md#segment), [b](../paper.md)"
    assert name_outside_files(text, "guides/engineer.md") == named
    page = "A line:\n- one\n  goes on\n- two\n\nB\n| a |\n| - |\n```\n x\n- y\n```"
    assert separate_blocks(page) == page.replace("line:\n", "line:\n\n").replace("B\n", "B\n\n")
