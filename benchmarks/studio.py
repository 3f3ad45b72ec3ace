"""How soon, small and light the studio is: `python -m benchmarks.studio [--products FOLDER]`.

Measured with a browser on this machine (Chromium, by Playwright): from the command to the first page, what
goes over the wire for it, the processor's time for it, the memory of the idle process, and, in a folder
whose first project has cut-outs and a plate, the previews of an insertion.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

PREVIEWS = 12
_IDLE_SECONDS = 10.0


@contextmanager
def opened_studio(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A studio of a folder in a process of its own: its address with the key, and the process."""
    words = [sys.executable, "-m", "packshot", "studio", str(folder), "--no-browser", "--port=0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = re.search(r"http://\S+", process.stdout.readline())
        if said is None:
            raise SystemExit("The studio has not started.")
        yield said[0], psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def first_page(folder: Path, browser: Browser) -> dict[str, float]:
    """Seconds from the command to the page that is there; the bytes over the wire; the idle process."""
    begun = time.monotonic()
    with opened_studio(folder) as (address, process):
        page = browser.new_page()
        received: list[float] = []
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.loadingFinished", lambda told: received.append(told["encodedDataLength"])
        )
        page.goto(address)
        seconds = time.monotonic() - begun
        spent = sum(process.cpu_times()[:2])
        page.wait_for_timeout(1000)
        before = sum(process.cpu_times()[:2])
        page.wait_for_timeout(_IDLE_SECONDS * 1000)
        idle = (sum(process.cpu_times()[:2]) - before) / _IDLE_SECONDS
        memory = process.memory_info().rss
        page.close()
    return {
        "command to first page, s": seconds,
        "  of it the server's processor time, s": spent,
        "first page over the wire, kB": sum(received) / 1000,
        "memory of the idle studio, MB": memory / 1e6,
        "processor of the idle studio, %": 100 * idle,
    }


def previews(folder: Path, browser: Browser) -> dict[str, float]:
    """Seconds from a key that moves the box to the preview that shows it; the first one apart."""
    with opened_studio(folder) as (address, process):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        projects = page.locator("a.whole")
        if not projects.count():
            return {}
        projects.first.click()
        page.goto(page.url.rsplit("/", 1)[0] + "/insert")
        if not page.locator("#insertion").count():
            return {}
        page.wait_for_selector(".made:not([hidden])", timeout=120_000)
        first = _took(page)
        before = _spent(process)
        each = [_moved(page) for _ in range(PREVIEWS)]
        spent = (_spent(process) - before) / PREVIEWS
        page.close()
    return {
        "first preview (loads PyTorch), s": first,
        "preview, median, s": statistics.median(each),
        "preview, slowest, s": max(each),
        "  of a preview processor time, s": spent,
    }


def _spent(process: psutil.Process) -> float:
    """Seconds of the processor of the studio and the process beside it."""
    whole = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in whole)


def _took(page: Page) -> float:
    return float(page.get_attribute("#insertion", "data-took") or 0) / 1000


def _moved(page: Page) -> float:
    """Move the box by a key; how long its preview took."""
    before = page.get_attribute(".made", "src")
    page.locator(".box").press("ArrowLeft")
    while page.get_attribute(".made", "src") == before:
        page.wait_for_timeout(10)
    return _took(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--products", type=Path, help="a studio's folder, for the previews")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    told: dict[str, Any] = {"load of the machine": psutil.getloadavg()[0]}
    with opened_browser() as browser, tempfile.TemporaryDirectory() as empty:
        told |= first_page(Path(empty), browser)
        if given.products:
            told |= previews(given.products, browser)
    for name, value in told.items():
        print(f"{name:42} {value:8.2f}")
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
