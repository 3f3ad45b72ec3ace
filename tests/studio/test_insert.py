"""The view that puts the product into plates: what it keeps, asks for, queues and says."""

import ast
import io
import json
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from PIL import Image

from packshot import insertion
from packshot.insertion.plates import add_plate, list_plates, place_file
from packshot.insertion.record import results_of
from packshot.studio.previews import PreviewError, PreviewPicture
from packshot.studio.texts import LANGUAGES, texts_in
from packshot.utils import files, hashing
from tests.studio.shop import cut_out_all, write_plate

BOX = {"box": "100,100,120,100", "by": "box"}


class Faked:
    """Previews that keep what they were asked."""

    def __init__(self, answer=None):
        self.asked, self.answer = [], answer

    def warm(self):
        pass

    def make(self, project, background, **asked):
        self.asked.append({"background": background, **asked})
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        pass


@pytest.fixture
def previews(studio):
    studio.studio.previews = Faked(PreviewPicture(b"jpeg", {"photo": "a.png", "notes": ["süd"]}))
    return studio.studio.previews


@pytest.fixture
def plate(project, tmp_path):
    cut_out_all(project)
    return add_plate(project, write_plate(tmp_path / "beach.png"))


def arguments(studio):
    (job,) = studio.studio.queue.jobs()
    return list(job.arguments)


def test_without_cut_outs_it_leads_to_the_photos(studio, at, project):
    page = studio.get(f"{at}/insert").text
    assert "First the cut-outs" in page and f"{at}/photos" in page


def test_a_plate_is_sent_kept_and_shown(studio, at, project, previews, tmp_path):
    cut_out_all(project)
    data = write_plate(tmp_path / "b.png").read_bytes()
    sent = studio.put(
        f"{at}/insert/batch/abcdefgh1", data, headers={"x-file-name": "On%20a%20beach.png"}
    )
    assert sent.status_code == 204 and json.loads(sent.headers["x-plate"]) == "On-a-beach.png"
    assert [plate.read_bytes() for plate in list_plates(project)] == [data]
    assert not list((studio.studio.workspace.state_folder / "uploads").iterdir())
    assert "On-a-beach" in studio.get(f"{at}/insert?plate=On-a-beach.png").text


def test_what_is_no_photo_is_refused_and_nothing_of_it_stays(studio, at, project):
    sent = studio.put(
        f"{at}/insert/batch/abcdefgh1", b"<svg/>", headers={"x-file-name": "beach.png"}
    )
    assert sent.status_code == 422 and list_plates(project) == []
    assert not list((studio.studio.workspace.state_folder / "uploads").iterdir())


def test_a_preview_is_asked_for_with_what_the_page_says(studio, at, project, plate, previews):
    given = {"light_azimuth_degrees": "30", "horizon": "120", "photo": "photo-1.png"}
    empty = {"light_hardness": "", "evil": "1"}
    made = studio.post(
        f"{at}/insert/preview", {"plate": plate.name, "page": "p"} | BOX | given | empty
    )
    assert made.content == b"jpeg" and json.loads(made.headers["x-preview"])["notes"] == ["süd"]
    assert previews.asked == [
        {"background": plate, "page": "p", "box": BOX["box"], "settings": given}
    ]


def test_a_preview_that_nobody_waits_for_any_more_is_none(studio, at, plate, previews):
    previews.answer = None
    assert studio.post(f"{at}/insert/preview", {"plate": plate.name} | BOX).status_code == 204


def test_a_fault_of_a_preview_is_told_in_words(studio, at, plate, previews):
    previews.answer = PreviewError("There is no room.")
    answer = studio.post(
        f"{at}/insert/preview", {"plate": plate.name} | BOX, headers={"accept": "text/plain"}
    )
    assert (answer.status_code, answer.text) == (422, "There is no room.")


@pytest.mark.parametrize("name", ["../../packshot.toml", "none.png", "/etc/passwd"])
def test_no_other_file_is_a_plate(studio, at, plate, previews, name):
    for address in (f"{at}/insert/preview", f"{at}/insert"):
        assert studio.post(address, {"plate": name} | BOX).status_code == 422
    assert previews.asked == [] and studio.studio.queue.jobs() == []


def test_the_insertion_is_queued_as_the_command_says_it(studio, at, project, plate):
    given = {"light_azimuth_degrees": "30", "light_hardness": "0.5", "reflection": "0"}
    studio.post(f"{at}/insert", {"plate": plate.name} | BOX | given)
    assert arguments(studio) == [
        "insert", str(plate), "--name=beach", "--box=100,100,120,100", "--light-azimuth=30",
        "--light-hardness=0.5", "--reflection=0", "--project", str(project.root),
    ]  # fmt: skip


def test_no_value_becomes_an_option(studio, at, plate):
    studio.post(f"{at}/insert", {"plate": plate.name, "photo": "--out=/tmp/x"} | BOX)
    assert "--photo=--out=/tmp/x" in arguments(studio)


def test_a_second_insertion_has_another_name(studio, at, project, plate):
    files.write_bytes(results_of(project.insertions_folder, "beach")[0], b"picture")
    studio.post(f"{at}/insert", {"plate": plate.name} | BOX)
    assert "--name=beach-2" in arguments(studio)


def test_insertions_that_wait_have_names_of_their_own(studio, at, plate):
    for _ in range(3):
        studio.post(f"{at}/insert", {"plate": plate.name} | BOX)
    names = [job.arguments[2] for job in studio.studio.queue.jobs()]
    assert names == ["--name=beach", "--name=beach-2", "--name=beach-3"]


def test_a_painted_place_is_kept_and_used(studio, at, project, plate):
    asked = {"plate": plate.name, "by": "mask"}
    assert "No place is painted" in studio.post(f"{at}/insert", asked).text
    drawn, mask = io.BytesIO(), Image.new("L", (200, 150))
    mask.paste(255, (50, 50, 100, 120))
    mask.save(drawn, "PNG")
    kept = studio.put(f"{at}/insert/plates/{plate.name}/place", drawn.getvalue())
    assert kept.headers["hx-trigger"] == "place-drawn"
    studio.post(f"{at}/insert", asked)
    assert f"--mask={place_file(project, plate.name)}" in arguments(studio)
    assert studio.get(f"{at}/pictures/place/beach.png").status_code == 200


def test_a_plate_is_taken_out_and_put_back(studio, at, project, plate):
    gone = studio.post(f"{at}/insert/plates/{plate.name}/remove")
    assert list_plates(project) == [] and f"{at}/insert/plates/{plate.name}/restore" in gone.text
    back = studio.post(f"{at}/insert/plates/{plate.name}/restore")
    assert list_plates(project) == [plate] and back.headers["hx-redirect"].endswith(plate.name)


def test_a_plate_of_any_name_is_put_back(studio, at, project, plate):
    name = quote("東京 #1 100%.png")
    plate.rename(plate.with_name(unquote(name)))
    gone = studio.post(f"{at}/insert/plates/{name}/remove")
    assert list_plates(project) == []
    back = studio.post(gone.text.split('hx-post="')[1].split('"')[0])
    assert back.headers["hx-redirect"] == f"{at}/insert?plate={name}"
    assert [plate.name for plate in list_plates(project)] == [unquote(name)]


@pytest.fixture
def record(project, plate):
    """Writes the record of an insertion with checks."""

    def write(*checks, background=plate, camera=None):
        image, _, record = results_of(project.insertions_folder, "beach")
        image.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 3)).save(image)
        light = {
            "azimuth_degrees": 33.3,
            "elevation_degrees": 40.2,
            "hardness": 0.25,
            "confidence": 1,
        }
        told = dict(
            file=image.name, background="beach.png", background_file=str(background.resolve()),
            background_sha256=hashing.sha256(background), photo="photo-1.png", seed=0, light=light,
            horizon=111.4, camera=camera or {}, notes=["a note"],
            box=dict(left=1, top=2, width=30, height=40),
            checks=[dict(name=n, value=1.0, limits=[0, 1], meaning=m, passed=p) for n, m, p in checks],
        )  # fmt: skip
        files.write_json(record, told)

    return write


def test_checks_are_told_in_words_in_both_languages(studio, at, record):
    record(("contact", "", False), ("seam", "", True), ("new check", "what it means", False))
    english = studio.get(f"{at}/insert/results").text
    assert "2 checks do not hold" in english and "It seems to float" in english
    assert (
        "No edge is seen" in english
        and "new check: what it means" in english
        and "a note" in english
    )
    italian = studio.get(f"{at}/insert/results", headers={"accept-language": "it"}).text
    assert "Sembra sospeso" in italian


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_check_has_words(language):
    calls = (
        node
        for file in Path(insertion.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Check"
    )
    names = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert len(names) > 8
    keys = {f"check.{name.replace(' ', '_')}.{way}" for name in names for way in ("good", "bad")}
    assert not {key for key in keys if key not in texts_in(language)}


def test_before_and_after_only_of_a_plate_that_is_the_projects(studio, at, record, tmp_path):
    record()
    assert 'class="before"' in studio.get(f"{at}/insert/results").text
    record(background=write_plate(tmp_path / "elsewhere" / "beach.png"))
    assert 'class="before"' not in studio.get(f"{at}/insert/results").text


def test_an_insertion_is_changed_from_where_it_was(studio, at, record, previews):
    record()
    page = studio.get(f"{at}/insert?plate=beach.png&from=beach.png").text
    for name, value in (("box", "1,2,30,40"), ("horizon", "111"), ("light_azimuth_degrees", "33"),
                        ("light_elevation_degrees", "40"), ("light_hardness", "0.25")):  # fmt: skip
        assert f'name="{name}" value="{value}"' in page
    assert 'value="photo-1.png" checked' in page


@pytest.mark.parametrize(("confidence", "horizon"), [(1.0, "111"), (0.4, "")])
def test_a_horizon_that_was_a_guess_is_not_given_as_known(
    studio, at, record, previews, confidence, horizon
):
    record(camera={"horizon_confidence": confidence})
    page = studio.get(f"{at}/insert?plate=beach.png&from=beach.png").text
    assert f'name="horizon" value="{horizon}"' in page


def test_an_insertion_is_taken_out_and_put_back(studio, at, project, record):
    record()
    image = results_of(project.insertions_folder, "beach")[0]
    gone = studio.post(f"{at}/insert/results/beach.png/remove")
    assert not image.exists() and "results/beach.png/restore" in gone.text
    studio.post(f"{at}/insert/results/beach.png/restore")
    assert image.is_file()
