"""The command as a user types it."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from packshot.cli import app, main
from packshot.errors import DiskFullError
from packshot.insertion import request
from packshot.insertion.background import load_background
from packshot.insertion.batch import InsertionJob
from packshot.insertion.settings import InsertionSettings
from packshot.models.diffusion_model import SamplingDefaults
from packshot.utils import overwriting
from tests.backgrounds import landscape


def run(*arguments):
    return CliRunner().invoke(app, ["insert", *map(str, arguments)])


def fails(capsys, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["packshot", "insert", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_box_and_two_versions(product, background_file):
    result = run(background_file, "-p", product.root, "--box", "140,140,120,90", "--count", 2)
    assert result.exit_code == 0, result.output
    made = sorted(file.name for file in product.insertions_folder.glob("[!.]*"))
    assert made == [
        "beach-1.json", "beach-1.png", "beach-1.sheet.png",
        "beach-2.json", "beach-2.png", "beach-2.sheet.png",
    ]  # fmt: skip
    first, second = (
        json.loads((product.insertions_folder / f"beach-{n}.json").read_text()) for n in (1, 2)
    )
    assert first["photo"] != second["photo"]


@pytest.mark.slow
def test_results_are_called_as_asked_and_others_stay(product, background_file):
    place = ("-p", product.root, "--box", "140,140,120,90")
    for name in ("first", "second"):
        assert run(background_file, *place, "--name", name).exit_code == 0
    made = sorted(file.name for file in product.insertions_folder.glob("[!.]*.png"))
    assert made == ["first.png", "first.sheet.png", "second.png", "second.sheet.png"]


@pytest.mark.parametrize("name", ["../out", "a/b", "", "..", "/tmp/x"])
def test_a_name_that_leads_elsewhere_is_refused(
    product, background_file, name, capsys, monkeypatch
):
    said = fails(capsys, monkeypatch, background_file, "-p", product.root, "--box", "140,140,120,90",
                 "--name", name)  # fmt: skip
    assert "plain name with --name" in said and not list(product.root.parent.rglob("*.sheet.png"))


@pytest.mark.slow
def test_words_and_suggestions(product, background_file):
    assert (
        run(background_file, "-p", product.root, "--at", "left, near", "--tall", 0.4).exit_code == 0
    )
    record = json.loads((product.insertions_folder / "beach.json").read_text())
    assert record["box"]["left"] < 150
    assert "the camera is taken to be" in record["notes"][0], "what was taken for granted is said"
    assert record["camera"]["photo"]["by"] and 0 < record["camera"]["horizon_confidence"] < 1
    result = run(background_file, "-p", product.root, "--suggest", "--product-height", 0.4)
    assert "Places:" in result.output
    with Image.open(product.insertions_folder / "beach.places.png") as shown:
        assert shown.size == (400, 300)


def box_of(project, background, **given):
    read = load_background(background)
    place = request.PlacementRequest(at="centre", **given)
    return place.resolve(read, project, InsertionSettings(horizon=120))


def test_sizes_are_real(product, background_file):
    """The horizon at 120; a post from 200 down to 240 is a third of the camera's height."""
    known = "300,240,300,200=0.4"
    small, large = (
        box_of(product, background_file, product_height_metres=t, known=known) for t in (0.2, 0.4)
    )
    assert large.box.height == pytest.approx(2 * small.box.height, rel=0.1)
    foot = 120 + 0.6 * 180
    assert large.box.height == pytest.approx((foot - 120) * 0.4 / 1.2, rel=0.2)
    assert not large.notes
    usual = box_of(product, background_file)
    assert "0.2 m tall, as a box usually is" in usual.notes[0]


def test_sizes_beside_an_outline_are_told_to_count_for_nothing(product, background_file):
    """A box says how large the product is; so do rows of a table, whatever the command line says."""
    read, settings = load_background(background_file), InsertionSettings(horizon=120)
    place = request.PlacementRequest(
        box="150,150,80,120", known="300,240,300,200=0.4", camera_height_metres=2
    )
    (note,) = place.resolve(read, product, settings).notes
    assert note.startswith("--known, --camera-height are of --at alone")
    plain = request.PlacementRequest(box="150,150,80,120").resolve(read, product, settings)
    assert not plain.notes and plain.box == place.resolve(read, product, settings).box
    job = InsertionJob(background_file, "150,150,80,120", "", None, "", "", "beach")
    scale = request.PlacementRequest(at="centre", product_height_metres=0.2)
    assert not request._place_of(job, scale).resolve(read, product, settings).notes


@pytest.mark.slow
def test_a_guessed_horizon_is_asked_for(product, tmp_path):
    plain = np.full((300, 400, 3), 140, np.uint8) + np.random.default_rng(0).integers(
        0, 9, (300, 400, 1)
    )
    Image.fromarray(plain.astype(np.uint8)).save(tmp_path / "grey.png")
    order = tmp_path / "grey.png", "-p", product.root, *PLACE
    checks = {}
    for known in ((), ("--horizon", 60)):
        said = " ".join(run(*order, *known).output.split())
        record = json.loads((product.insertions_folder / "grey.json").read_text())
        checks[known] = {check["name"]: check["passed"] for check in record["checks"]}
        assert ("the horizon is a guess" in said) == ("fails:" in said and not known)
        assert any("the horizon" in note for note in record["notes"]) == (not known)
    assert [passed["horizon"] for passed in checks.values()] == [False, True]


@pytest.mark.slow
def test_a_quad_on_the_ground(product, background_file):
    quad = "130,230,270,230,250,200,150,200"
    assert run(background_file, "-p", product.root, "--quad", quad).exit_code == 0
    record = json.loads((product.insertions_folder / "beach.json").read_text())
    assert record["box"]["left"] + record["box"]["width"] == 270
    assert record["horizon"] == pytest.approx(126, abs=2), "where the patch's sides meet"


@pytest.mark.slow
def test_how_a_mask_was_understood_is_said(product, background_file, tmp_path):
    hole = Image.open(background_file).convert("RGBA")
    alpha = Image.new("L", hole.size, 255)
    alpha.paste(0, (140, 140, 260, 230))
    hole.putalpha(alpha)
    hole.save(tmp_path / "m.png")
    result = run(background_file, "-p", product.root, "--mask", tmp_path / "m.png")
    said = " ".join(result.output.split())
    assert "note: the mask m.png has a transparent hole, as ComfyUI saves masks" in said
    record = json.loads((product.insertions_folder / "beach.json").read_text())
    assert record["box"]["top"] + record["box"]["height"] == 230 and "ComfyUI" in record["notes"][0]


@pytest.mark.slow
def test_a_table_goes_on_where_it_was(product, background_file, tmp_path, monkeypatch):
    for number in range(3):
        Image.fromarray(landscape()).save(tmp_path / f"p{number}.png")
    table = tmp_path / "backgrounds.csv"
    table.write_text(
        "background,box,at,name\n"
        'p0.png,"100,140,90,80",,one\np1.png,,"right, near",two\np2.png,,,three\n'
    )
    order = [table, "-p", product.root, "--at", "centre", "--product-height", 0.5]
    calls, real = [], request.insert

    def dies_at_the_second(*given, **options):
        calls.append(options["name"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(request, "insert", dies_at_the_second)
    assert run(*order).exit_code != 0
    assert run(*order).exit_code == 0
    assert calls == ["one", "two", "two", "three"], "what was done is not done again"
    assert run(*order).exit_code == 0
    assert len(calls) == 4
    assert run(*order, "--reflection", 0.5).exit_code == 0
    assert len(calls) == 7, "with other settings it is"


def test_errors_say_what_to_do(product, background_file, tmp_path, capsys, monkeypatch):
    def said(*arguments):
        return fails(capsys, monkeypatch, background_file, "-p", product.root, *arguments)

    before = background_file.read_bytes()
    own = said("--box", "140,140,120,90", "--out", background_file.parent)
    assert "beach.png would be overwritten: name another folder" in own
    assert background_file.read_bytes() == before
    for name in ("beach.png", "beach.sheet.png", "beach.json"):
        out = tmp_path / name.replace(".", "-")
        out.mkdir()
        (out / name).write_text("mine")
        told = said("--box", "140,140,120,90", "--out", out)
        assert f"{name} was not written by Packshot, or was changed since" in told
        assert [path.name for path in out.iterdir()] == [name]
        assert (out / name).read_text() == "mine"
    assert "Say where it goes: --box x,y,w,h, or --quad with four corners" in said()
    assert "Say where it goes" in said("--box", "1,2,30,40", "--at", "left")
    assert "Move it inside" in said("--box", "390,10,100,100")
    assert "'magic' is not one of 'composite', 'inpaint'" in said(
        "--box", "1,2,30,40", "--method", "magic"
    )
    assert "No photo shows the product as seen from the rear" in said(
        "--box", "1,2,30,40", "--view", "rear"
    )
    table = tmp_path / "t.csv"
    for text, words in {
        "file\na.png\n": "has no column background",
        "background,size\na.png,3\n": "has a column size",
        "background\nnone.png\n": "line 2: there is no background",
        "background,name\nbeach.png,../x\n": "line 2: give it another name than ../x",
        "background,at\nbeach.png,nowhere\n": "Nothing was inserted into any of",
    }.items():
        table.write_text(text.replace("\\\n", "\n"))
        assert words in fails(capsys, monkeypatch, table, "-p", product.root, "--at", "left")
    assert not product.insertions_folder.exists()


@pytest.fixture
def plates(tmp_path):
    """Three backgrounds, the second of which is damaged."""
    folder = tmp_path / "plates"
    folder.mkdir()
    for name in ("a", "c"):
        Image.fromarray(landscape()).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"\x89PNG damaged")
    return folder


PLACE = ("--box", "140,140,120,90")


@pytest.mark.slow
def test_a_bad_background_costs_itself_and_is_named(product, plates):
    done = run(plates, "-p", product.root, *PLACE)
    assert done.exit_code == 3, done.output
    assert "not made: b: b.png: is damaged or cut short" in done.stderr.replace("\n", "")
    made = {path.stem for path in product.insertions_folder.glob("*.done")}
    assert made == {"a", "c"}
    Image.fromarray(landscape()).save(plates / "b.png")
    again = run(plates, "-p", product.root, *PLACE)
    assert again.exit_code == 0 and again.stderr.count("sheet:") == 1


@pytest.mark.parametrize("asked,words", [
    ((*PLACE, "--count", 2), "--count and --name are of one background"),
    ((*PLACE, "--name", "beach"), "--count and --name are of one background"),
    (("--suggest",), "--suggest shows places in one background: name one of"),
])  # fmt: skip
def test_of_many_backgrounds_nothing_is_asked_in_vain(
    product, plates, capsys, monkeypatch, asked, words
):
    assert words in fails(capsys, monkeypatch, plates, "-p", product.root, *asked)
    assert not product.insertions_folder.exists()


@pytest.mark.parametrize("asked", [("--photo", "0.png"), ("--reflection", 0.3), ("--refine", 0.2)])
def test_what_is_of_cut_outs_is_not_asked_of_a_painting(
    product, background_file, capsys, monkeypatch, asked
):
    order = background_file, "-p", product.root, *PLACE, "--method", "inpaint", *asked
    assert "are of cut-outs" in fails(capsys, monkeypatch, *order)


@pytest.mark.parametrize("place", [PLACE, ("--at", "left"), ("--suggest",)])
def test_without_photos_that_is_what_is_told(project, background_file, capsys, monkeypatch, place):
    told = fails(capsys, monkeypatch, background_file, "-p", project.root, *place)
    assert "has no photos yet. Add some: packshot photos FOLDER" in told.replace("\n", "")


def test_a_folder_without_backgrounds_is_no_success(product, tmp_path, capsys, monkeypatch):
    empty, table = tmp_path / "empty", tmp_path / "empty.csv"
    empty.mkdir()
    table.write_text("background,at\n")
    for source in (empty, table):
        told = fails(capsys, monkeypatch, source, "-p", product.root, *PLACE)
        assert f"There are no backgrounds in {source}" in told.replace("\n", "")


def test_what_a_row_knows_of_its_background_wins_over_the_command_line(tmp_path):
    job = InsertionJob(tmp_path / "a.png", "", "", None, "left", "", "a", known="1,9,1,4=0.3")
    otherwise = request.PlacementRequest(at="right", camera_height_metres=1.6)
    place = request._place_of(job, otherwise)
    assert (place.at, place.known, place.camera_height_metres) == ("left", "1,9,1,4=0.3", None)
    assert request._place_of(replace(job, known=""), otherwise).camera_height_metres == 1.6


class Made:
    """Stands for an insertion: writes a picture, and counts."""

    def __init__(self, fault=None):
        self.names, self.fault = [], fault

    def __call__(self, project, background, where, folder, *, name, **given):
        self.names.append(name)
        if self.fault and name == "b":
            raise self.fault
        overwriting.write_result(folder / f"{name}.png", b"made")
        return name


@pytest.mark.parametrize(
    "fault,words",
    [
        (ValueError("odd"), "ValueError: odd (a bug in Packshot, please report it)"),
        (MemoryError(), "MemoryError"), (OSError("gone"), "gone"),
    ],
)  # fmt: skip
def test_whatever_one_background_does_the_others_are_made(
    product, plates, monkeypatch, fault, words
):
    shutil.copy(plates / "a.png", plates / "b.png")
    monkeypatch.setattr(request, "insert", made := Made(fault))
    refused = {}
    order = product, plates, request.PlacementRequest(box=PLACE[1]), InsertionSettings()
    assert list(request.insert_all(*order, refused=refused)) == ["a", "c"]
    assert made.names == ["a", "b", "c"] and words in refused["b"]
    made.fault = None
    assert list(request.insert_all(*order)) == ["b"]
    made.fault = DiskFullError("No room")
    monkeypatch.setattr(request, "version", lambda name: "another")
    with pytest.raises(DiskFullError):
        list(request.insert_all(*order))


def _no_mask(project):
    next(project.masks_folder.iterdir()).unlink()


def _another_photo(project):
    photo = next(project.photos_folder.glob("*.png"))
    with Image.open(photo) as image:
        flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    flipped.save(photo)


def _another_trigger(project):
    text = project.settings_file.read_text()
    project.settings_file.write_text(text.replace('trigger = "ohwx"', 'trigger = "zzz"'))


def _a_caption(project):
    (next(project.photos_folder.glob("*.png")).with_suffix(".txt")).write_text("rear view")


def _no_watermark(project):
    _set(project, "watermark = false")


def _rights(project):
    _set(project, 'rights = { creator = "Ada" }')


def _set(project, line):
    project.settings_file.write_text(f"{line}\n{project.settings_file.read_text()}")


CHANGES = {
    "whether it is marked": _no_watermark, "whose it is": _rights,
    "a mask": _no_mask, "a photo": _another_photo, "the subject": _another_trigger,
    "a caption": _a_caption, "nothing": lambda project: None,
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_result_is_as_new_as_all_that_it_depends_on(product, plates, monkeypatch, change):
    monkeypatch.setattr(request, "insert", made := Made())
    place = request.PlacementRequest(box=PLACE[1])

    def go(**given):
        made.names.clear()
        list(request.insert_all(product, plates, place, InsertionSettings(), refused={}, **given))
        return made.names

    assert go() == ["a", "c"] and go() == []
    CHANGES[change](product)
    assert go() == ([] if change == "nothing" else ["a", "c"])


def test_base_lora_and_mask_belong_to_what_a_result_depends_on(product, plates, monkeypatch):
    monkeypatch.setattr(request, "insert", made := Made())
    base = SimpleNamespace(
        content_hash="1", dtype="float32", weight_storage="full",
        sampler=SamplingDefaults("a", 1, 1.0),
    )  # fmt: skip
    lora = SimpleNamespace(sha256="2")
    mask = plates.parent / "mask.png"
    place = Image.new("L", (400, 300))
    place.paste(255, (140, 140, 260, 230))
    place.save(mask)

    def go(base=base, lora=lora, weight=1.0):
        made.names.clear()
        list(request.insert_all(
            product, plates, request.PlacementRequest(mask=mask), InsertionSettings(), base=base,
            loras=[(lora, weight)], refused={},
        ))  # fmt: skip
        return made.names

    assert go() == ["a", "c"] and go() == []
    other = SimpleNamespace(**(vars(base) | {"content_hash": "3"}))
    slower = SimpleNamespace(**(vars(base) | {"sampler": SamplingDefaults("a", 2, 1.0)}))
    for change in (
        {"base": other}, {"base": slower}, {"lora": SimpleNamespace(sha256="4")}, {"weight": 0.5},
    ):  # fmt: skip
        assert go(**change) == ["a", "c"]
    go()
    place.paste(255, (140, 140, 262, 230))
    place.save(mask)
    assert go() == ["a", "c"]


@pytest.mark.slow
def test_two_backgrounds_of_one_name_have_results_of_their_own(product, background_file, tmp_path):
    other = tmp_path / "other" / "beach.png"
    other.parent.mkdir()
    Image.fromarray(landscape()[:, ::-1]).save(other)
    made = [
        run(file, "-p", product.root, *PLACE).stderr.split("  (")[0].split("/")[-1]
        for file in (background_file, other, background_file, other)
    ]
    assert made == ["beach.png", "beach-2.png"] * 2


def test_a_background_of_as_long_a_name_as_may_be(product, background_file, capsys, monkeypatch):
    longest = background_file.rename(background_file.with_name("n" * 251 + ".png"))
    result = run(longest, "-p", product.root, "--suggest", "--product-height", 0.4)
    assert result.exit_code == 0
    assert len(list(product.insertions_folder.glob("n*.places.png"))) == 1
    told = fails(capsys, monkeypatch, longest, "-p", product.root, "--box", "10,10,50,50")
    assert "The results cannot be named after nnn" in told and "give it a shorter name." in told
    assert len(list(product.insertions_folder.glob("n*"))) == 1


@pytest.mark.slow
def test_what_stands_before_it_stays_as_it_is(product, background_file, tmp_path):
    mask = Image.new("L", Image.open(background_file).size)
    mask.paste(255, (190, 120, 210, 260))
    mask.save(tmp_path / "front.png")
    result = run(
        background_file, "-p", product.root, "--box", "140,140,120,90", "--behind", tmp_path / "front.png"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    made = np.asarray(Image.open(product.insertions_folder / "beach.png").convert("RGB")).astype(
        int
    )
    own = np.asarray(Image.open(background_file).convert("RGB")).astype(int)
    assert np.array_equal(made[125:255, 194:206], own[125:255, 194:206])
    assert np.abs(made - own)[150:220, 150:185].max() > 60, "the product beside it"


def test_a_batch_is_made_again_where_what_stands_before_changed(product, tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "front.png")
    place = request.PlacementRequest(box="1,2,20,20", behind=str(tmp_path / "front.png"))

    def key(where):
        return request._inputs(product, where, InsertionSettings(), request.Tools())

    first = key(place)
    assert key(place) == first != key(replace(place, behind=None))
    Image.new("L", (40, 30), 255).save(tmp_path / "front.png")
    assert key(place) != first
