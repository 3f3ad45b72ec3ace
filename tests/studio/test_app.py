"""The frame: pages in both languages, and a server without PyTorch."""

import io
import subprocess
import sys
import threading
import time
from dataclasses import replace

from PIL import Image

from packshot.errors import DiskFullError
from packshot.plan.config import write_plan


def test_the_server_loads_no_torch():
    code = (
        "import sys; from packshot.studio import serve; "
        "print([name for name in ('torch', 'diffusers', 'transformers', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_first_visit_offers_a_project_and_the_sample(studio):
    page = studio.get("/").text
    assert "Your product, pictured anywhere" in page and "Open the sample" in page


def test_the_page_speaks_the_browsers_language_until_another_is_chosen(studio):
    italian = {"accept-language": "it-IT"}
    assert 'lang="it"' in studio.get("/", headers=italian).text
    chosen = studio.post("/preferences", {"language": "en"})
    assert chosen.headers["hx-refresh"] == "true"
    assert '<html lang="en">' in studio.get("/", headers=italian).text


def test_a_project_is_made_and_listed(studio, workspace):
    made = studio.post("/projects", {"name": "Café Kettle", "class_noun": "kettle"})
    assert (workspace.folder / "caf-kettle" / "packshot.toml").is_file()
    assert studio.get(made.headers["hx-redirect"]).status_code == 200
    assert "Café Kettle" in studio.get("/").text


def test_a_project_that_cannot_be_made_says_why(studio):
    answer = studio.post("/projects", {"name": "x" * 300, "class_noun": "kettle"})
    assert answer.status_code == 422 and 'role="alert"' in answer.text and "200" in answer.text


def test_a_broken_project_is_listed_with_its_fault(studio, project):
    project.settings_file.write_text("base = [")
    assert "packshot.toml" in studio.get("/").text


def test_a_bug_is_told_as_one_and_the_terminal_has_its_lines(studio, at, monkeypatch, capfd):
    monkeypatch.setattr("packshot.studio.views.photos.photo_names", lambda project: 1 / 0)
    for headers in ({}, {"hx-request": "true"}, {"accept": "text/plain"}):
        answer = studio.get(at + "/photos", headers=headers)
        assert answer.status_code == 500 and "This is a bug in Packshot" in answer.text
        assert "content-security-policy" in answer.headers
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_an_address_without_a_page_says_so(studio):
    answer = studio.get("/nothing", headers={"accept-language": "it"})
    assert answer.status_code == 404 and "non c’è nulla" in answer.text


def test_what_was_changed_is_taken_back_once(studio, project, at):
    from packshot.photos.photo_set import list_photos

    captions = f"{at}/photos/photo-0.png/caption"
    studio.post(captions, {"caption": "ohwx kettle at dusk"})
    told = studio.post(f"{at}/photos/replace", {"old": "dusk", "new": "night"})
    assert told.headers["hx-trigger"] == "photos-changed"
    assert list_photos(project)[0].caption == "ohwx kettle at night"
    undo = told.text.split('hx-post="')[1].split('"')[0]
    assert studio.post(undo).headers["hx-trigger"] == "photos-changed"
    assert list_photos(project)[0].caption == "ohwx kettle at dusk"
    assert "no longer" in studio.post(undo).text


def test_an_older_change_is_not_taken_back_over_a_later_one(studio, project, at):
    from packshot.photos.photo_set import list_photos

    captions = f"{at}/photos/photo-0.png/caption"
    written = ("ohwx kettle", "ohwx kettle at dusk", "ohwx kettle at night")
    before, undos = "", []
    for caption in written:
        told = studio.post(captions, {"caption": caption, "before": before})
        undos.append(told.text.split('hx-post="')[1].split('"')[0] if before else "")
        before = caption
    refused = studio.post(undos[1])
    assert refused.status_code == 422 and "changed again since" in refused.text
    assert list_photos(project)[0].caption == "ohwx kettle at night"
    for undo, caption in ((undos[2], written[1]), (undos[1], written[0])):
        assert studio.post(undo).status_code == 200
        assert list_photos(project)[0].caption == caption


def test_a_mask_is_not_taken_back_over_a_later_one(studio, project, at):
    from packshot.images.sidecars import find_beside

    photo = Image.open(project.photos_folder / "photo-0.png")

    def draw(side):
        drawn, mask = io.BytesIO(), Image.new("L", photo.size)
        mask.paste(255, (0, 0, side, side))
        mask.save(drawn, "PNG")
        told = studio.put(f"{at}/photos/photo-0.png/mask", drawn.getvalue())
        return told.text.split('hx-post="')[1].split('"')[0]

    first, second = draw(20), draw(30)
    assert studio.post(first).status_code == 422
    assert studio.post(second).status_code == studio.post(first).status_code == 200
    assert find_beside(project.masks_folder, "photo-0", ".png") is None


def test_a_caption_that_is_put_back_is_its_captioners_again(studio, project, at):
    from packshot.photos.photo_set import list_photos, write_captions

    written = [(photo, "a photo of ohwx kettle") for photo in list_photos(project)]
    write_captions(project, written, by="florence")
    for address, edit in (
        ("photo-0.png/caption", {"caption": "ohwx kettle", "before": "a photo of ohwx kettle"}),
        ("replace", {"old": "a photo", "new": "a picture"}),
    ):
        told = studio.post(f"{at}/photos/{address}", edit)
        assert list_photos(project)[0].caption_by == "person"
        studio.post(told.text.split('hx-post="')[1].split('"')[0])
        assert {(p.caption, p.caption_by) for p in list_photos(project)} == {
            ("a photo of ohwx kettle", "florence")
        }


def test_what_cannot_be_taken_back_while_the_project_is_at_work_can_be_afterwards(
    studio, project, at
):
    from packshot.photos.photo_set import list_photos

    captions = f"{at}/photos/photo-0.png/caption"
    studio.post(captions, {"caption": "ohwx kettle at dusk"})
    told = studio.post(captions, {"caption": "ohwx kettle", "before": "ohwx kettle at dusk"})
    undo = told.text.split('hx-post="')[1].split('"')[0]
    with project.held():
        assert studio.post(undo).status_code == 422
    assert studio.post(undo).status_code == 200
    assert list_photos(project)[0].caption == "ohwx kettle at dusk"


def test_what_was_sent_for_no_job_is_cleared_when_the_studio_starts(studio, project, at):
    from packshot.studio.uploads import clear_abandoned

    workspace, queue = studio.studio.workspace, studio.studio.queue
    for batch in ("aaaaaaaa", "bbbbbbbb"):
        studio.put(f"{at}/photos/batch/{batch}/file", b"x", headers={"x-file-name": "x.png"})
    studio.post(f"{at}/photos/batch/bbbbbbbb/take")
    clear_abandoned(workspace, queue.scratch_folders())
    assert [path.name[-8:] for path in (workspace.state_folder / "uploads").iterdir()] == [
        "bbbbbbbb"
    ]


def test_the_queue_goes_on_after_a_tick_that_fails(studio, monkeypatch, capfd):
    queue, ticks, has_gone_on = studio.studio.queue, [], threading.Event()

    def tick():
        ticks.append(None)
        if len(ticks) < 3:
            raise DiskFullError("No room on the disk")
        has_gone_on.set()
        return set()

    monkeypatch.setattr(queue, "tick", tick)
    monkeypatch.setattr("packshot.studio.app.TICK_SECONDS", 0.01)
    with studio:
        assert has_gone_on.wait(20)
    assert capfd.readouterr().err.count("Traceback") == 1, "told once"


def test_two_changes_at_once_wait_for_each_other(studio, at, project):
    """As a caption that is sent as its field is left, at the press of another button of its card."""
    is_held, captions = threading.Event(), f"{at}/photos/photo-0.png/caption"

    def hold():
        with project.held():
            is_held.set()
            time.sleep(0.3)

    other = threading.Thread(target=hold)
    other.start()
    is_held.wait()
    assert studio.post(captions, {"caption": "ohwx kettle at dusk"}).status_code == 200
    other.join()
    with project.held():
        assert studio.post(captions, {"caption": "ohwx kettle"}).status_code == 422


def test_what_a_job_of_the_project_bars_names_the_job(studio, at, project, planned, monkeypatch):
    write_plan(planned, project.plan_file)
    job = replace(studio.studio.queue.add(project, "train", "train"), state="running")
    monkeypatch.setattr(type(studio.studio.queue), "jobs", lambda self, project=None: [job])
    with project.held():
        told = studio.post(f"{at}/plan/numbers", {"name": "steps", "value": "9", "before": "10"})
    assert told.status_code == 422 and "this project is at work: Training." in told.text
    assert "process" not in told.text
