"""The docs are true: commands parse, generated pages are fresh, links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from consumer.cli import app
from consumer.settings import describe

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path for place in ("*", "docs/**/*", "schemas/*", "helm/*") for path in ROOT.glob(f"{place}.md")
)
COMMANDS = set(getattr(get_command(app), "commands", {}))


def test_the_generated_pages_are_what_the_code_says() -> None:
    result = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|[`$|&] ?)conversions ([a-z]+)", text, re.MULTILINE))

    assert named - COMMANDS == set()


def test_the_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {name for name in COMMANDS if f"`conversions {name}" not in readme} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_of_a_page_exists(page: Path) -> None:
    known = {name for name, _, _ in describe()} | {f"{name}_FILE" for name, _, _ in describe()}
    named = set(re.findall(r"\bCONVERSIONS_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))

    assert named - known == set()


def test_the_preview_of_the_readme_answers() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"\$ echo '(.+)' \\\n\s+\| (conversions preview .+)\n", readme)
    assert block is not None, "the README shows a preview"
    command = [sys.executable, "-m", "consumer", *shlex.split(block[2])[1:]]

    result = subprocess.run(
        command, cwd=ROOT, input=block[1], capture_output=True, text=True, check=False
    )

    assert '"system_generated"' in result.stdout
    assert "rejected" not in result.stdout


def test_every_verb_of_the_pages_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        verb
        for page in PAGES
        for verb in re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text(encoding="utf-8"))
    }

    assert named <= verbs


def test_every_room_of_the_package_is_on_the_map_or_named_by_one_that_is() -> None:
    design = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    on_the_map = set(re.findall(r"`([a-z_]+)`", design))
    rooms = {path.stem for path in (ROOT / "consumer").glob("*.py")} - {"__init__", "__main__"}
    named = {
        word
        for room in on_the_map & rooms
        for word in re.findall(
            r"from consumer\.([a-z_]+) import",
            (ROOT / "consumer" / f"{room}.py").read_text(encoding="utf-8"),
        )
    }

    assert rooms - on_the_map - named == set()


def test_every_test_that_the_guarantees_name_exists() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/guarantees.md").read_text(encoding="utf-8"))
    files = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}

    assert len(named) > 20
    assert [name for name in named if name not in there] == []
