"""The photos' manifest: what is written, and whose caption or mask stands."""

import os

import pytest

from packshot.errors import ProjectError
from packshot.photos.manifest import (
    PACKSHOT,
    PERSON,
    Entry,
    Manifest,
    begin_caption_write,
    caption_author,
    caption_is_ours,
    commit_caption_write,
    is_ours,
    read,
    segmenter_of,
    write,
)
from packshot.utils import hashing


def entry(**values):
    told = {
        "source": "a.jpg", "source_sha256": "1" * 64, "file": "a.png", "sha256": "2" * 64,
        "pixels_sha256": "3" * 64, "perceptual_hash": "4" * 64, "width": 8, "height": 6, "why": "",
    }  # fmt: skip
    return Entry.model_validate(told | values)


@pytest.fixture
def caption(tmp_path):
    """A caption that stands, and the hash of it."""
    file = tmp_path / "a.txt"
    file.write_text("a photo of ohwx car\n")
    return file, hashing.sha256(file)


def test_where_none_stands_it_is_empty(project):
    assert read(project) == Manifest()


def test_what_is_written_is_read_and_the_same_is_not_written_again(project):
    manifest = Manifest(photos=[entry(source='è "x"\n', caption_locked=True)])
    write(project, manifest)
    assert read(project) == manifest
    os.utime(project.photos_manifest, ns=(0, 0))
    write(project, read(project))
    assert project.photos_manifest.stat().st_mtime_ns == 0
    write(project, Manifest())
    assert project.photos_manifest.stat().st_mtime_ns > 0 and read(project) == Manifest()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "\x00", '{"photos": 3}', '{"photos": [{}]}', '{"more": 1}',
        Manifest(photos=[entry()]).model_dump_json().replace('"width":8', '"width":0'),
        Manifest(photos=[entry()]).model_dump_json().replace("4" * 64, "4" * 63 + "G"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_named_and_what_to_do(project, text):
    project.photos_manifest.parent.mkdir(exist_ok=True)
    project.photos_manifest.write_text(text)
    with pytest.raises(ProjectError, match=r"manifest\.json is damaged .*add the photos again"):
        read(project)


def test_a_caption_is_of_who_wrote_what_stands(caption, tmp_path):
    file, stands = caption
    assert caption_author(tmp_path / "none.txt", entry()) is None
    assert caption_author(file, entry()) == PERSON
    assert caption_author(file, entry(written_caption="5" * 64, caption_by="blip")) == PERSON
    assert caption_author(file, entry(written_caption=stands, caption_by="blip")) == "blip"
    assert caption_author(file, entry(written_caption=stands)) == PACKSHOT
    carried = entry(written_caption=stands, carried_caption="6" * 64)
    assert caption_author(file, carried) == PERSON
    promised = {"promised_caption": stands, "promised_by": "clip"}
    assert caption_author(file, entry(**promised)) == "clip"
    assert (
        caption_author(file, entry(written_caption="5" * 64, caption_by="blip", **promised))
        == "clip"
    )


def test_only_what_is_ours_may_be_written_over(caption, tmp_path):
    file, stands = caption
    none = tmp_path / "none.txt"
    assert is_ours(none, None) and is_ours(file, stands) and not is_ours(file, None)
    assert caption_is_ours(none, entry()) and not caption_is_ours(file, entry())
    assert caption_is_ours(file, entry(written_caption=stands))
    assert caption_is_ours(file, entry(promised_caption=stands))
    for path in (none, file):
        assert not caption_is_ours(path, entry(written_caption=stands, caption_locked=True))


@pytest.mark.parametrize("written", [True, False])
def test_killed_between_promise_and_note_the_author_is_right(caption, written):
    """Before the caption is written the old author stands, after it the new one; then a third."""
    file, stands = caption
    one = entry(written_caption=stands, caption_by="plain")
    begin_caption_write(file, one, "7" * 64, "blip")
    if written:
        file.write_text("by blip\n")
        one.promised_caption = hashing.sha256(file)
    assert caption_author(file, one) == ("blip" if written else "plain")
    assert caption_is_ours(file, one)
    begin_caption_write(file, one, "8" * 64, "wd")
    assert one.caption_by == ("blip" if written else "plain")
    assert (one.promised_caption, one.promised_by) == ("8" * 64, "wd")
    commit_caption_write(one)
    assert (one.written_caption, one.caption_by) == ("8" * 64, "wd")
    assert one.promised_caption is None and one.promised_by is None


def test_a_mask_is_the_segmenters_while_it_is_as_it_was_found(caption, tmp_path):
    mask, stands = caption
    assert segmenter_of(entry(masked_by="u2net", written_mask=stands), mask) == "u2net"
    assert segmenter_of(entry(masked_by="u2net", former_mask=stands), mask) == "u2net"
    assert segmenter_of(entry(masked_by="u2net", written_mask="9" * 64), mask) is None
    assert segmenter_of(entry(written_mask=stands), mask) is None
    assert segmenter_of(entry(masked_by="u2net"), tmp_path / "none.png") is None
