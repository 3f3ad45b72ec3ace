"""Files on their way in: where they may land, how large they may be, and what becomes of bombs."""

import asyncio
import io
import zipfile
from dataclasses import replace

import pytest

from packshot.studio import uploads
from packshot.studio.uploads import Batch, Limits, UploadError, plain_path
from tests.studio.pictures import picture

BATCH = "/photos/batch/abcdefgh12"


def png(seed=7):
    data = io.BytesIO()
    picture(seed).save(data, "PNG")
    return data.getvalue()


def send(studio, at, name, content=b"x"):
    return studio.put(f"{at}{BATCH}/file", content, headers={"x-file-name": name})


def arrived(workspace):
    folder = workspace.state_folder / "uploads"
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    "name",
    ["../x.png", "..%2fx.png", "a/../../x.png", "..\\x.png", "a\\..\\..\\x.png", "..", ".", "/", "",
     "%2e%2e/x.png", "con.png", "a/NUL", "a/b/c/d/e/f/g/x.png", " . "],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_not_taken(studio, workspace, at, name):
    answer = send(studio, at, name)
    assert answer.status_code == 422 and arrived(workspace) == []


@pytest.mark.parametrize(
    ("name", "plain"),
    [("/etc/passwd", "etc/passwd"), ("a/b.png", "a/b.png"), ("a:b?.png", "a_b_.png"),
     ("x\r\ny.png", "x__y.png"), (".htaccess", "htaccess"), ("é" * 60 + ".png", "é" * 60 + ".png")],
)  # fmt: skip
def test_other_names_become_plain(name, plain):
    assert plain_path(name) == plain


@pytest.mark.parametrize(
    "names",
    [
        [f"{'写真' * 40} {number}.png" for number in (1, 2)],
        [f"12.04 Dacia Duster, {side}/1.png" for side in ("front", "rear")],
        [f"{'写真' * 60} {number}/1.png" for number in (1, 2)],
    ],
)
def test_names_that_are_cut_stay_two(names):
    first, second = (plain_path(name) for name in names)
    assert first != second
    assert all(len(part.encode()) <= 131 for part in f"{first}/{second}".split("/"))


def test_a_caption_keeps_the_name_of_its_photo():
    photo, caption = (plain_path(f"{'x' * 300}{ending}") for ending in (".png", ".txt"))
    assert photo.removesuffix(".png") == caption.removesuffix(".txt")


@pytest.mark.parametrize("id", ["../../../../x", "short", "ABCDEFGH", "a" * 41, "abcdefg%2f"])
def test_a_batch_has_a_plain_id(studio, at, id):
    answer = studio.put(f"{at}/photos/batch/{id}/file", headers={"x-file-name": "x.png"})
    assert answer.status_code in (404, 422)


def test_limits_hold_and_leave_nothing_behind(studio, workspace, at):
    studio.studio.limits = replace(
        Limits(), file_bytes=100, batch_bytes=150, files=2, spare_bytes=0
    )
    assert send(studio, at, "large.png", b"x" * 101).status_code == 422
    assert arrived(workspace) == []
    assert send(studio, at, "one.png", b"x" * 100).status_code == 204
    told = send(studio, at, "two.png", b"x" * 51)
    assert told.status_code == 422 and "larger than" in told.text
    assert send(studio, at, "two.png", b"x" * 50).status_code == 204
    assert "more than 2 files" in send(studio, at, "three.png", b"").text
    assert len(arrived(workspace)) == 2


def test_files_of_one_name_do_not_replace_each_other(studio, workspace, at):
    for content in (b"front", b"rear"):
        for name in ("image.jpg", "image.txt", "x/image.jpg"):
            assert send(studio, at, name, content).status_code == 204
    [batch] = (workspace.state_folder / "uploads").iterdir()
    told = {name.partition("/")[2]: None for name in arrived(workspace)}
    assert sorted(told) == [
        "image-2.jpg", "image-2.txt", "image.jpg", "image.txt", "x/image-2.jpg", "x/image.jpg",
    ]  # fmt: skip
    assert (batch / "image.jpg").read_bytes() == b"front"
    assert (batch / "image-2.jpg").read_bytes() == b"rear"


class Slow:
    """A request whose body comes in two parts of 60 bytes, the second once all others' first has come."""

    def __init__(self, others):
        self._others = others

    async def stream(self):
        yield b"x" * 60
        await self._others.wait()
        yield b"x" * 60


def test_files_that_come_at_once_count_together(tmp_path):
    batch = Batch(tmp_path, replace(Limits(), batch_bytes=150, files=2, spare_bytes=0))

    async def both():
        requests = [Slow(asyncio.Barrier(2))] * 2
        sent = (batch.receive(one, f"{n}.png") for n, one in enumerate(requests))
        return await asyncio.gather(*sent, return_exceptions=True)

    told = [one for one in asyncio.run(both()) if isinstance(one, UploadError)]
    assert len(told) == 1 and "larger than" in str(told[0])
    [kept] = tmp_path.iterdir()
    assert kept.stat().st_size == 120 and uploads._HELD[tmp_path] == uploads._Held(1, 120)


def test_a_full_disk_is_told(studio, workspace, at):
    studio.studio.limits = replace(Limits(), spare_bytes=2**62)
    assert "no room" in send(studio, at, "x.png", b"xy").text
    assert arrived(workspace) == []


def test_a_batch_becomes_a_command_for_its_folders(studio, workspace, project, at):
    send(studio, at, "loose.png", png())
    send(studio, at, "shoot/a.jpg", b"x")
    send(studio, at, "shoot/masks/a.png", b"x")
    send(studio, at, "notes.pdf", b"x")
    send(studio, at, "loose.txt", b"a caption")
    assert studio.post(f"{at}{BATCH}/take").status_code == 204
    [job] = studio.studio.queue.jobs()
    folder = job.scratch
    assert job.arguments == (
        "photos", folder, f"{folder}/shoot", f"{folder}/notes.pdf", "--project", str(project.root),
    )  # fmt: skip


def test_a_batch_without_photos_is_told(studio, at):
    send(studio, at, "captions.txt", b"x")
    assert "no photos" in studio.post(f"{at}{BATCH}/take").text
    assert studio.studio.queue.jobs() == []


def test_a_bomb_is_refused_with_its_reason_and_the_photo_beside_it_taken(
    studio, workspace, project, at, finished
):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", b"\0" * 40_000_000)
    send(studio, at, "bomb.zip", bomb.getvalue())
    send(studio, at, "good.png", png())
    send(studio, at, "<img onerror=alert(1)>.png", b"no image")
    studio.post(f"{at}{BATCH}/take")
    job = finished()
    assert (job.state, job.total) == ("done", 2)
    page = studio.get(at + "/photos/list").text
    assert "bomb.png" in page and "onerror=alert(1)&gt;" not in page.replace("&lt;img", "<img")
    assert "good.png" in page and not (workspace.state_folder / "uploads" / job.id).exists()
    assert arrived(workspace) == []


def test_a_mask_that_is_none_is_refused(studio, at):
    for data in (b"", b"no", png()[:50], b"\x89PNG\r\n\x1a\n" + b"\0" * 99):
        assert studio.put(f"{at}/photos/photo-0.png/mask", data).status_code == 422
    assert studio.put(f"{at}/photos/photo-0.png/mask", b"x" * (9 * 2**20)).status_code == 422


def test_the_reasons_are_errors_of_ours():
    with pytest.raises(UploadError, match="is not taken"):
        plain_path("../x")
