"""What the documents say of commands, files, plan keys, messages and names is so in the program."""

import ast
import re
import shlex
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

import packshot
from packshot.cli import app
from packshot.plan.config import Plan
from packshot.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")])
DOCUMENTS = [
    *PAGES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "pocket/model/README.md",
]
OTHER_TOOLS_OPTIONS = {
    "--dataset_config", "--disable-metadata", "--gpus", "--machine_rank", "--main_process_ip",
    "--nproc_per_node", "--num_machines", "--num_processes",
}  # fmt: skip
OTHER_PROGRAMS_MESSAGES = {
    "packshot: command not found",  # the shell's
    "No module named 'fcntl'",  # Python's
    "packshot.toml: …: there is no such setting",  # a file's name, then validation.describe
    "plan.toml: … is missing; …: there is no such setting",
}
LEFT_OUT = {"MissingParameter", "BadOptionUsage", "NoArgsIsHelpError"}
"""What click says of arguments and values that prose leaves out, as in `packshot memory --gpu`."""
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


@each_document
def test_every_command_line_parses(document):
    commands = dict(_commands(typer.main.get_command(app)))
    for line in _code(document.read_text(encoding="utf-8")):
        if not (told := re.match(r"(?:docker run .* )?packshot +(.*)", line)):
            continue
        words = shlex.split(told[1], comments=True)
        if words[0].startswith("-"):
            assert words[0] in ("--help", "--version"), line
            continue
        name = " ".join(words[:2]) if words[0] == "lora" and len(words) > 1 else words[0]
        assert name in commands, line
        try:
            commands[name].make_context(name, words[len(name.split()) :], resilient_parsing=False)
        except Exception as error:  # whichever click typer brings along
            assert type(error).__name__ in LEFT_OUT, line


@each_document
def test_every_option_that_is_named_alone_exists(document):
    options = {
        option
        for _, command in _commands(typer.main.get_command(app))
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    others = r"(?:pip|python3?|docker|hf|wsl|make|uv|packshot-\w+|git|source) "
    for line in _code(document.read_text(encoding="utf-8")):
        if not re.match(others, line):
            named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", line))
            assert named <= options | OTHER_TOOLS_OPTIONS | {"--help", "--version"}, line


@each_document
def test_every_test_that_is_named_exists(document):
    for file, name in re.findall(
        r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text(encoding="utf-8")
    ):
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


@each_document
def test_every_target_and_module_that_is_run_exists(document):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    homes = (ROOT, ROOT / "src", ROOT / "pocket/src")
    for line in _code(document.read_text(encoding="utf-8")):
        if made := re.match(r"make ([a-z]+)", line):
            assert made[1] in targets, line
        if ran := re.match(r"python -m ((?:packshot|benchmarks|tests)[\w.]*)", line):
            place = ran[1].replace(".", "/")
            files = [home / f"{place}{end}" for home in homes for end in (".py", "/__main__.py")]
            assert any(file.is_file() for file in files), line


@each_document
def test_every_relative_link_and_image_leads_to_a_file(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target = link.split("#")[0]
        if target and not re.match(r"[a-z]+:", target):
            assert (document.parent / target).is_file(), link


def test_the_plan_page_has_exactly_the_plans_keys():
    keys, tables = [], []
    for header, *cells in _table_rows((ROOT / "docs/plan.md").read_text(encoding="utf-8")):
        if header in ("key", "table"):
            (keys if header == "key" else tables).append(cells[0].strip("`[]"))
    assert sorted(keys + tables) == sorted(Plan.model_fields)
    assert tables == [name for name in Plan.model_fields if name in tables]


def test_the_settings_that_are_shown_are_a_projects():
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "docs/run.md").read_text("utf-8"), re.DOTALL)
    shown = [tomllib.loads(block) for block in blocks if "[subject]" in block]
    assert len(shown) == 1
    Settings.model_validate(shown[0])


@pytest.mark.parametrize("page", ["families.md", "data.md", "drives.md", "using-the-lora.md"])
def test_the_tests_that_a_page_names_are_there(page):
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    tests = "".join(file.read_text(encoding="utf-8") for file in ROOT.glob("tests/**/test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_what_is_read_of_other_trainers_datasets_is_tested():
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    table = text[text.index("| in the dataset |") :].partition("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines()]
    told = [row for row in rows if any(cell.strip().startswith("yes") for cell in row)]
    assert len(told) == len(rows) - 2 > 5
    assert all("`test_" in row[-1] for row in told)


@pytest.mark.parametrize("page", ["troubleshooting.md", "insertion.md"])
def test_every_message_that_is_explained_can_be_said(page):
    for header, first, *_ in _table_rows((ROOT / "docs" / page).read_text(encoding="utf-8")):
        quoted = {"message": re.findall(r"`([^`]+)`", first), "message begins with": [first]}
        for message in quoted.get(header, []):
            assert message in OTHER_PROGRAMS_MESSAGES or _is_said(message), message


def test_the_python_page_shows_every_public_name():
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: packshot\.(\w+)$", text, re.MULTILINE)
    assert sorted(shown) == sorted({*packshot.__all__, "errors"} - {"PackshotError"})


def test_what_the_python_page_imports_is_there():
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = import_module(node.module)
                assert all(hasattr(module, name.name) for name in node.names), block


def _commands(group, before=""):
    for name, command in group.commands.items():
        yield before + name, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")


def _code(text):
    """Lines of code blocks, continued ones joined, and what stands in backticks."""
    blocks = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in blocks.findall(text):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())
    for span in re.findall(r"`([^`]+)`", blocks.sub("", text)):
        yield " ".join(span.split())


def _table_rows(text):
    """Of every row of every table: the table's first header, then the row's cells."""
    header = None
    for line in text.splitlines():
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if header is None:
            header = cells[0]
        elif set(cells[0]) - set("-"):
            yield header, *cells


def _is_said(message):
    """Whether its parts between the "…" stand in this order in one of the program's texts."""
    parts = [re.escape(part) for part in map(str.strip, message.split("…")) if part]
    pattern = re.compile(".*?".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in _program_texts())


@cache
def _program_texts():
    texts = []
    for file in (ROOT / "src/packshot").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts
