"""The view of generated images: what is queued, pairs, favourites."""

from pathlib import Path

import pytest

from packshot.generation.favourites import read_favourites
from packshot.insertion.plates import list_plates
from packshot.utils import files
from tests.studio.shop import write_shot


@pytest.fixture
def ready(project):
    files.write_bytes(project.lora_file, b"weights")
    return project


def job(studio):
    (one,) = studio.studio.queue.jobs()
    options = dict(word.split("=", 1) for word in one.arguments if "=" in word)
    prompts = Path(options.pop("--prompts-file")).read_text().splitlines()
    return one, options, [prompt.strip() for prompt in prompts]


def test_without_a_lora_it_leads_to_the_training(studio, at, project):
    assert "First the training" in studio.get(f"{at}/shoot").text


def test_prompts_are_those_of_the_class(studio, at, ready):
    page = studio.get(f"{at}/shoot").text
    assert "on a table" in page and "rear three-quarter" not in page  # a kettle is no car


def test_what_is_chosen_and_written_is_queued(studio, at, ready):
    studio.post(f"{at}/shoot", {
        "prompt": ["a photo of {subject} on a beach"], "own": "--evil\n\n {subject}, red \n",
        "count": "3", "seed": "7", "width": "", "height": "", "negative": "--blur", "compare": "1",
    })  # fmt: skip
    one, options, prompts = job(studio)
    assert prompts == ["a photo of {subject} on a beach", "--evil", "{subject}, red"]
    assert options == {
        "--images-per-prompt": "3", "--first-seed": "7", "--negative-prompt": "--blur",
    }  # fmt: skip
    assert "--compare" in one.arguments and one.heavy and Path(one.scratch).is_dir()


def test_a_prompt_that_does_not_ask_for_the_product_is_told(studio, at, ready):
    words = ("a kettle on the moon", "a photo of OHWX kettle", "ohwx, red", "a {trigger} kettle")
    told = studio.post(f"{at}/shoot", {"own": "\n".join(words), "count": "1"})
    assert "2 prompts do not ask for your product: write “ohwx kettle”" in told.text
    told = studio.post(f"{at}/shoot", {"own": "{subject} on the moon", "count": "1"})
    assert "The pictures are being made." in told.text and "do not ask" not in told.text


def test_without_a_prompt_nothing_is_queued(studio, at, ready):
    answer = studio.post(f"{at}/shoot", {"own": " \n"})
    assert answer.status_code == 422 and "Choose a scene" in answer.text
    assert studio.studio.queue.jobs() == []


def test_pictures_with_and_without_the_lora_are_pairs(studio, at, ready):
    write_shot(ready, "", 1)
    write_shot(ready, "with", 2)
    write_shot(ready, "without", 2, ())
    write_shot(ready, "without", 9, ())
    page = studio.get(f"{at}/shoot/list").text
    assert page.count('class="card shot"') == 2 and page.count("pictures both") == 1
    for name in ("shots/shot-1.png", "shots/with/shot-2.png", "shots/without/shot-2.png"):
        assert studio.get(f"{at}/pictures/shot/{name}").status_code == 200
    assert studio.get(f"{at}/pictures/shot/shots/../packshot.toml").status_code == 404


def test_favourites_are_kept_and_shown_alone(studio, at, ready):
    one = write_shot(ready, "", 1)
    write_shot(ready, "with", 2)
    card = studio.post(f"{at}/shoot/favourite", {"shot": "shots/shot-1.png"}).text
    assert "★" in card and read_favourites(ready) == [one]
    shown = studio.get(f"{at}/shoot/list?only=favourites").text
    assert "shot-1.png" in shown and "shot-2.png" not in shown
    studio.post(f"{at}/shoot/favourite", {"shot": "shots/shot-1.png"})
    assert read_favourites(ready) == []


def test_again_takes_a_seed_that_is_not_there(studio, at, ready):
    for seed in (3, 8):
        write_shot(ready, "with", seed)
    write_shot(ready, "with", 90, prompt="another")
    studio.post(f"{at}/shoot/again", {"shot": "shots/with/shot-3.png"})
    _, options, prompts = job(studio)
    assert options["--first-seed"] == "9" and prompts == ["ohwx kettle, a beach"]
    assert options["--width"] == options["--height"] == "64"


def test_again_and_again_takes_a_seed_that_does_not_wait_either(studio, at, ready):
    write_shot(ready, "with", 3)
    for _ in range(3):
        studio.post(f"{at}/shoot/again", {"shot": "shots/with/shot-3.png"})
    jobs = studio.studio.queue.jobs()
    seeds = [word for job in jobs for word in job.arguments if word.startswith("--first-seed=")]
    assert seeds == ["--first-seed=4", "--first-seed=5", "--first-seed=6"]
    studio.studio.queue.stop(jobs[1].id)
    studio.post(f"{at}/shoot/again", {"shot": "shots/with/shot-3.png"})
    assert "--first-seed=5" in studio.studio.queue.jobs()[-1].arguments


def test_again_after_one_that_has_failed_keeps_its_prompt(studio, at, ready):
    write_shot(ready, "with", 3)
    queue = studio.studio.queue
    queue._start_next = lambda jobs: None  # nothing begins
    again = {"shot": "shots/with/shot-3.png"}
    studio.post(f"{at}/shoot/again", again)
    (failed,) = queue.jobs()
    files.write_json(queue.folder / failed.id / "end.json", {"code": 1, "at": 1.0})
    queue.tick()
    studio.post(f"{at}/shoot/again", again)
    queue.tick()
    queue.forget(failed.id)
    _, options, prompts = job(studio)
    assert (options["--first-seed"], prompts) == ("4", ["ohwx kettle, a beach"])


def test_a_picture_is_sent_to_insert(studio, at, ready):
    shot = write_shot(ready, "with", 2)
    sent = studio.post(f"{at}/shoot/plate", {"shot": "shots/with/shot-2.png"})
    assert sent.headers["hx-redirect"] == f"{at}/insert?plate=shot-2.png"
    assert list_plates(ready)[0].read_bytes() == shot.read_bytes()


@pytest.mark.parametrize("what", ["favourite", "again", "plate"])
def test_what_is_no_shot_is_refused(studio, at, ready, what):
    answer = studio.post(f"{at}/shoot/{what}", {"shot": "packshot.toml"})
    assert answer.status_code == 422 and studio.studio.queue.jobs() == []
