"""What the views make of a project, before it is a page."""

import shutil
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from PIL import Image

from packshot.captions.edit import edit_captions
from packshot.class_images.online.candidate import Candidate
from packshot.class_images.online.offers import write_offers
from packshot.errors import Refusal
from packshot.images.refusals import write_refusals
from packshot.photos.photo_set import add_photos, list_photos, write_mask
from packshot.plan.config import read_plan, write_plan
from packshot.project import save_choices
from packshot.settings import choices_of
from packshot.studio.process_marks import mark_of
from packshot.studio.views import photos, train
from packshot.studio.views.class_images import move_flat
from packshot.training.events import (
    Done,
    Evaluated,
    Resumed,
    Sample,
    Step,
    Stopped,
    as_record,
    log_of,
)
from packshot.training.runs import open_run
from packshot.utils import files
from tests.studio.pictures import write_photos
from tests.studio.shop import cut_out_all


def seen(*captions):
    """The ring's counts by direction, clockwise from the front, of photos with these captions."""

    class Captioned:
        source = "x.jpg"

        def __init__(self, caption):
            self.caption = caption

    return {arc.angle: arc.count for arc in photos.ring([Captioned(text) for text in captions])}


def test_the_ring_counts_from_where_the_product_is_seen():
    assert seen("front view", "ohwx car, front three-quarter view", "side view", "rear view") == {
        0: 1, 45: 1, 90: 1, 135: 0, 180: 1, 225: 0, 270: 1, 315: 1,
    }  # fmt: skip
    assert seen("rear three-quarter view", "a three-quarter view", "ohwx car")[135] == 1
    assert set(seen().values()) == {0}


def step(number, seconds=2.0):
    return Step(number, 100, 0.5, 0.5, None, 1e-4, seconds)


def test_progress_tells_the_time_left_by_the_last_steps():
    events = [step(n, 50.0) for n in range(1, 11)] + [step(n) for n in range(11, 51)]
    told = train.progress(events, None)
    assert (told.step, told.steps, told.loss, told.seconds_left) == (50, 100, 0.5, 100.0)
    assert not told.is_done and not told.is_stopped
    assert train.progress([], None) is None


def test_a_run_that_was_stopped_is_so_until_it_goes_on():
    stopped = [step(1), step(2), Stopped(2)]
    assert train.progress(stopped, None).is_stopped
    assert not train.progress([*stopped, Resumed(2), step(3)], None).is_stopped
    done = Done(100, 9.0, 1, Path("a"), Path("b"))
    assert train.progress([*stopped, step(100), done], None).is_done


def test_a_long_run_is_thinned_evenly_and_keeps_its_last_step():
    events = [step(n) for n in range(1, 2001)]
    kept = [event.step for event in train.thinned(events)]
    assert len(kept) <= train.MOST_POINTS + 1 and (kept[0], kept[-1]) == (1, 2000)
    assert {b - a for a, b in pairwise(kept[:-1])} == {4}
    assert [event.step for event in train.thinned(events[:5])] == [1, 2, 3, 4, 5]


def test_samples_are_listed_by_step_without_those_that_are_gone(project):
    there = project.runs_folder / "r" / "samples" / "a.png"
    files.write_bytes(there, b"x")
    gone = there.with_name("b.png")
    events = [Sample(20, ("p", "q"), (there, gone)), Sample(10, ("p",), (there,))]
    path = "runs/r/samples/a.png"
    assert train.samples(project, events) == [(10, [("p", path)]), (20, [("p", path)])]


def test_a_run_that_was_done_early_says_so_and_can_go_on(studio, project, at, planned):
    write_plan(planned, project.plan_file)
    run = open_run(project, planned)
    done = Done(2, 1.0, 1, project.lora_file, project.diffusers_lora_file)
    told = [step(1), Evaluated(1, 0.5, None, False), step(2), Evaluated(2, 0.4, 0.1, True), done]
    files.write_json_lines(log_of(run), (as_record(event, run) for event in told))
    page = studio.get(at + "/train/state").text
    assert "It ended at step 2 of 100" in page and "held-out examples" in page
    studio.post(at + "/train", {"go-on": "1"})
    (job,) = studio.studio.queue.jobs()
    assert job.arguments[:2] == ("train", "--go-on")


def test_training_and_pausing_are_one_job(studio, project, at, planned):
    write_plan(planned, project.plan_file)
    assert "Start training" in studio.get(at + "/train/state").text
    for _ in range(2):
        studio.post(at + "/train")
    [job] = studio.studio.queue.jobs()
    assert job.arguments == ("train", "--project", str(project.root)) and job.heavy
    assert "waits its turn" in studio.get(at + "/train/state").text


def test_a_choice_becomes_a_plan_of_its_budget(studio, project, at):
    one = {"steps": 9, "resolution": 64, "exposures": 9, "share": 0.5, "seconds": 60, "bytes": 1,
           "disk_bytes": 1}  # fmt: skip
    choices = [one | {"budget": 60}, one | {"budget": None}]
    files.write_json(
        project.plan_choices_file,
        {"base": "pocket", "photos": 3, "class_images": 0, "choices": choices},
    )
    for at_slider in ("0", "1"):
        assert studio.post(at + "/plan", {"at": at_slider}).status_code == 204
    for nonsense in ("2", "-1", "x", ""):
        assert studio.post(at + "/plan", {"at": nonsense}).status_code == 422
    said = [job.arguments[:-2] for job in studio.studio.queue.jobs()]
    assert said == [
        ("plan", "--keep-measurements", "--time-budget", "60s"), ("plan", "--keep-measurements"),
    ]  # fmt: skip


def test_choices_for_other_photos_are_said_to_be_old(studio, project, at):
    one = {"budget": None, "steps": 9, "resolution": 64, "exposures": 9, "share": 1, "seconds": 60,
           "bytes": 1, "disk_bytes": 1}  # fmt: skip
    for count, is_old in ((3, False), (4, True)):
        told = {"base": "pocket", "photos": count, "class_images": 0, "choices": [one]}
        files.write_json(project.plan_choices_file, told)
        assert ("have changed since" in studio.get(at + "/plan/choice").text) == is_old


def test_a_plan_that_makes_no_sense_is_told_on_both_pages(studio, project, at):
    project.plan_file.write_text("steps = 0")
    for page in ("/plan/choice", "/train/state"):
        answer = studio.get(at + page)
        assert answer.status_code == 200 and "steps = 0" in answer.text


def test_an_italian_writes_a_number_with_a_comma(studio, project, at, planned):
    write_plan(planned, project.plan_file)
    italian = {"accept-language": "it"}
    for text, rate in (("0,0002", 2e-4), ("1,5e-4", 1.5e-4), ("0.0003", 3e-4)):
        studio.post(at + "/plan/numbers", {"name": "learning_rate", "value": text}, headers=italian)
        assert read_plan(project.plan_file).learning_rate == rate
    english = studio.post(at + "/plan/numbers", {"name": "alpha", "value": "1,500"})
    assert english.status_code == 422  # a thousand and a half


def test_a_search_asks_first_and_fetching_is_what_was_offered(studio, project, at):
    form = {"source": ["openverse"], "licence": ["cc0", "by"], "query": "old kettle",
            "contact": "ada@example.org", "count": "30"}  # fmt: skip
    assert studio.post(at + "/class-images/fetch").status_code == 422
    assert studio.post(at + "/class-images/search", form).status_code == 204
    [job] = studio.studio.queue.jobs()
    assert job.arguments[:-2] == (
        "class-images", "--offers", "--class-images=openverse", "--class-licences=cc0,by",
        "--class-query=old kettle", "--contact=ada@example.org", "--class-count", "30",
    )  # fmt: skip
    save_choices(project, choices_of(class_images=("openverse",)))
    write_offers(project, [Candidate(url=f"https://e.org/{n}", source="s") for n in range(4)])
    studio.post(at + "/class-images/fetch", {"contact": "ada@example.org"})
    assert studio.studio.queue.jobs()[-1].arguments[-7:-2] == (
        "--class-images", "openverse", "--class-count", "4", "--contact=ada@example.org",
    )  # fmt: skip


def test_what_was_offered_is_not_had_from_the_base(studio, project, at):
    save_choices(project, choices_of(class_images=("openverse",)))
    write_offers(project, [Candidate(url="https://e.org/1", source="s", title="A pot")])
    assert "A pot" in studio.get(at + "/class-images/offers").text
    for elsewhere in ("base", str(project.photos_folder)):
        save_choices(project, choices_of(class_images=(elsewhere,)))
        assert "A pot" not in studio.get(at + "/class-images/offers").text
        answer = studio.post(at + "/class-images/fetch")
        assert answer.status_code == 422 and "Search first" in answer.text
    assert studio.studio.queue.jobs() == []


@pytest.mark.parametrize(
    "form",
    [
        {"source": [], "licence": ["cc0"]},
        {"source": ["openverse"], "licence": []},
        {"source": ["/etc"], "licence": ["cc0"]},
        {"source": ["openverse"], "licence": ["cc0"], "count": "0"},
        {"source": ["openverse"], "licence": ["cc0"], "count": "--help"},
    ],
)
def test_a_search_that_makes_no_sense_is_told(studio, at, form):
    assert studio.post(at + "/class-images/search", form).status_code == 422
    assert studio.studio.queue.jobs() == []


def test_what_is_typed_is_never_an_option(studio, at):
    form = {"source": "commons", "licence": "by", "query": "--embedder=x", "contact": "-p/etc"}
    studio.post(at + "/class-images/search", form)
    [job] = studio.studio.queue.jobs()
    assert "--class-query=--embedder=x" in job.arguments and "--contact=-p/etc" in job.arguments


def test_dropped_folders_become_one(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("a.png", "x/a.png", "x/b.png", ".DS_Store"):
        files.write_bytes(source / name, name.encode())
    move_flat(source, target)
    assert sorted(path.name for path in target.iterdir()) == ["a.png", "b.png", "x-a.png"]
    assert (target / "x-a.png").read_bytes() == b"x/a.png"


def test_dropped_files_of_one_name_do_not_replace_each_other_and_keep_what_lies_beside_them(
    tmp_path,
):
    target = tmp_path / "target"
    for batch, names in enumerate([
        ("a.png", "a.txt"), ("a.png", "x/a.png", "x/a.txt", "y/x/a.png"), ("a.txt",), ("A.jpg",),
    ]):  # fmt: skip
        source = tmp_path / str(batch)
        for name in names:
            files.write_bytes(source / name, f"{batch} {name}".encode())
        for _ in range(2):  # the same files, dropped once more
            shutil.copytree(source, tmp_path / "again", dirs_exist_ok=True)
            move_flat(tmp_path / "again", target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        "a.png": "0 a.png", "a.txt": "0 a.txt", "a-2.png": "1 a.png", "x-a.png": "1 x/a.png",
        "x-a.txt": "1 x/a.txt", "x-a-2.png": "1 y/x/a.png", "a-3.txt": "2 a.txt", "A-4.jpg": "3 A.jpg",
    }  # fmt: skip


def test_what_is_still_to_be_done_with_the_photos_stands_out(studio, project, at):
    primary = 'class="small primary"'
    assert studio.get(at + "/photos/list").text.count(primary) == 2
    cut_out_all(project)
    assert studio.get(at + "/photos/list").text.count(primary) == 1
    edit_captions(project, {f"photo-{n}.png": f"ohwx kettle, {n}" for n in range(3)})
    assert primary not in studio.get(at + "/photos/list").text


def test_what_was_refused_before_is_not_of_the_photos_that_come_now(studio, at, project, tmp_path):
    write_refusals(project.refused_file, {"old.jpg": Refusal("is blurred", "blurred")})
    job = studio.studio.queue.add(project, "photos", "photos", "x", heavy=False)
    folder, told = studio.studio.queue.folder / job.id, []
    files.write_json(folder / "run.json", mark_of(psutil.Process()) | {"at": 1.0})

    def progress(what, done, total):
        files.write_json(folder / "progress.json", {"what": what, "done": done, "total": total})
        told.append(studio.get(f"{at}/photos/arrivals").text)

    progress("unpacking", 1, 2)
    write_photos(tmp_path / "new", 2)
    add_photos(project, tmp_path / "new", progress)
    assert len(told) == 3 and all("3 photos in the project" in page for page in told)
    assert not any("old.jpg" in page for page in told)


def test_a_damaged_photo_is_named_and_can_be_taken_out(studio, at, project):
    photo = list_photos(project)[0].file
    files.write_bytes(photo, photo.read_bytes()[:200])
    other = f"{at}/photos/photo-1.png/caption"
    for answer in (
        studio.get(f"{at}/photos/{photo.name}/card"),
        studio.post(f"{at}/photos/{photo.name}/caption", {"caption": "ohwx kettle"}),
        studio.post(other, {"caption": "ohwx kettle"}),  # all are looked at before one is changed
    ):
        assert answer.status_code == 422 and f"{photo.name}: is damaged" in answer.text
    assert studio.get(f"{at}/photos/guide").status_code == 200  # on the same page
    page = studio.get(f"{at}/photos/list").text
    remove = f"{at}/photos/{photo.name}/remove"
    assert page.count(f'hx-post="{remove}"') == 1
    assert studio.post(remove).status_code == 200
    assert studio.post(other, {"caption": "ohwx kettle"}).status_code == 200


def test_a_photo_whose_mask_is_in_doubt_says_so(studio, at, project):
    first, second, _ = list_photos(project)
    for photo, doubt in ((first, 0.3), (second, 0.05)):
        write_mask(project, photo, Image.new("L", (photo.width, photo.height), 255), "b", doubt)
    words = "The mask is in doubt"
    assert studio.get(f"{at}/photos/list").text.count(words) == 1
    assert words in studio.get(f"{at}/photos/{first.file.name}/card").text
    assert words not in studio.get(f"{at}/photos/{second.file.name}/card").text
