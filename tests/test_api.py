"""The public face: what is exported, and how light it is to import."""

import subprocess
import sys
from pathlib import Path

import pytest

import packshot


def test_everything_promised_is_there():
    assert sorted(packshot._HOMES) == packshot.__all__
    assert all(getattr(packshot, name).__doc__ for name in packshot.__all__ if name != "Event")


def test_the_command_line_starts_without_anything_heavy():
    script = (
        "import sys; sys.argv = ['packshot', '--help']\n"
        "import packshot.cli\n"
        "try: packshot.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'PIL', 'pydantic', 'cv2'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_starts_where_there_is_no_posix():
    script = (
        "import sys; sys.argv = ['packshot', '--help']\n"
        "sys.modules |= {'fcntl': None, 'resource': None, 'grp': None, 'pwd': None}\n"
        "import packshot, packshot.utils.locks, packshot.utils.copying, packshot.utils.caches\n"
        "import packshot.models.device_memory, packshot.images.video\n"
        "from packshot.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and "shoot" in done.stdout, done.stderr


def test_types_are_shipped():
    assert (Path(packshot.__file__).parent / "py.typed").is_file()
