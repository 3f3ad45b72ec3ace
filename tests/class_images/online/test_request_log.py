"""What is known is known after a kill, wherever it struck; what is damaged is found out anew."""

import threading

import pytest

from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.request_log import (
    Answered,
    Asked,
    Fetched,
    Page,
    RejectedUrl,
    RequestLog,
    Scored,
)

FETCHED = Fetched(
    url="b", file="0" * 16 + ".jpg", sha256="0" * 64, look="0" * 64, width=8, height=8
)
LINES = (
    Asked(api="openverse", at=1.0),
    Answered(api="openverse", at=2.0),
    Page(url="page", candidates=(Candidate(url="a", source="a", title="ü\u2028"),), more=True),
    RejectedUrl(url="a", reason="is not to be had"),
    FETCHED,
    Scored(sha256="0" * 64, judge="clip: car", score=0.25),
    Asked(api="openverse", at=3.0),
)


@pytest.fixture
def written(tmp_path):
    ledger = RequestLog(tmp_path, 0.0)
    for line in LINES:
        ledger.append(line)
    return tmp_path / "ledger.jsonl"


def state(ledger):
    return ledger.pages, ledger.pictures, ledger.scores, dict(ledger.requests)


def test_it_reads_what_it_wrote(written):
    ledger = RequestLog(written.parent, 100.0)
    assert ledger.pages == {"page": LINES[2]} and ledger.pictures == {"a": LINES[3], "b": FETCHED}
    assert ledger.scores == {("0" * 64, "clip: car"): 0.25}
    # The last was never answered: it may have arrived until now.
    assert ledger.requests == {"openverse": [2.0, 100.0]}


def test_a_picture_is_known_as_long_as_its_file_is_there(written):
    ledger = RequestLog(written.parent, 0.0)
    assert ledger.picture("a") == LINES[3] and ledger.picture("c") is None
    assert ledger.picture("b") is None
    (written.parent / FETCHED.file).touch()
    assert ledger.picture("b") == FETCHED


@pytest.mark.slow
def test_cut_anywhere_it_keeps_what_is_whole_and_takes_more(written):
    whole = written.read_bytes()
    end = whole.index(b'\n{"kind":"scored"')
    for length in range(len(whole)):
        written.write_bytes(whole[:length])
        RequestLog(written.parent, 0.0).append(RejectedUrl(url="new", reason="gone"))
        again = RequestLog(written.parent, 0.0)
        assert again.pictures["new"].reason == "gone"
        assert ("b" in again.pictures) == (length >= end)


def test_damaged_lines_are_found_out_anew(written):
    lines = written.read_text().split("\n")
    damaged = [
        '{"kind":"fetched","url":"b","file":"../../x.jpg"}',
        "[]",
        "3",
        '{"kind":"other"}',
        "\0",
    ]
    written.write_text("\n".join([*damaged, *lines[:5]]))
    assert RequestLog(written.parent, 0.0).pictures == {"a": LINES[3]}


def test_each_line_is_on_the_disk_before_work_goes_on(tmp_path, monkeypatch):
    ledger, flushed = RequestLog(tmp_path, 0.0), []
    monkeypatch.setattr("os.fsync", lambda descriptor: flushed.append(descriptor))
    for line in LINES:
        ledger.append(line)
    assert len(flushed) == len(LINES)


def test_threads_do_not_tear_each_others_lines(tmp_path):
    ledger = RequestLog(tmp_path, 0.0)

    def write(start):
        for number in range(start, start + 20):
            ledger.append(RejectedUrl(url=str(number), reason="x" * 300))

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 160, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert RequestLog(tmp_path, 0.0).pictures.keys() == {str(number) for number in range(160)}
