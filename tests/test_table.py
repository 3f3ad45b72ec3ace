"""docs/families.md is of the tests that there are; `make families` writes it."""

from pathlib import Path

import pytest

from tests import table


class Collector:
    cells = frozenset()

    def pytest_collection_finish(self, session):
        self.cells = {cell for item in session.items for cell in table.cells_of(item)}


@pytest.mark.slow
def test_the_committed_table_is_of_the_tests_that_there_are():
    collector = Collector()
    folder = str(Path(__file__).parent / "models")
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    assert pytest.main([*options, folder], plugins=[collector]) == 0
    wanted = table.page({cell: table.YES for cell in collector.cells})
    committed = table.PAGE.read_text(encoding="utf-8").partition("\n## Not compared")[0]
    committed = committed.replace(f"| {table.SKIPPED} |", f"| {table.YES} |")
    assert committed.rstrip() == wanted.rstrip(), "run: make families"


def test_families_and_columns_are_all_told():
    assert list(table.NAMES) == list(table.MAKERS) == list(table.PARAMETERS)
    assert list(table.COLUMNS) == list(table.MEANINGS)


def test_comfyui_loads_every_module_of_every_file():
    """As it was measured: by family and file, of each scope."""
    rows = [
        row for row in table.IN_COMFYUI.read_text(encoding="utf-8").splitlines() if " of " in row
    ]
    rows = [row.strip("| ").split(" | ") for row in rows if row.startswith("| ")]
    assert len(rows) == 2 * len(table.NAMES)
    for family, file, *scopes in rows:
        counts = [cell.split(" of ") for cell in scopes]
        assert len(counts) == 4 and all(loaded == there for loaded, there in counts), (family, file)


def test_diffusers_loads_every_module_of_every_file_in_each_version():
    """As it was measured; older versions do not know every family."""
    text = table.IN_DIFFUSERS.read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if " of " in row]
    rows = [row for row in rows if len(row) == 4]
    assert len(rows) == 3 * len(table.NAMES)
    for family, file, new, old in rows:
        for cell in (new, old):
            loaded, _, there = cell.partition(" of ")
            assert (cell == "-" and cell == old) or loaded == there, (family, file)
