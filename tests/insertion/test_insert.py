import json
from importlib import import_module

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from packshot.errors import InsertionError
from packshot.insertion import Box, InsertionSettings, Placement, load_background
from packshot.insertion.cutouts import best_photos, cut_out
from packshot.insertion.insert import _checked, insert
from packshot.insertion.lighting import CLEAR, UNCLEAR, Light, LightEstimator
from packshot.photos.photo_set import Photo, list_photos
from packshot.project import save_choices
from packshot.provenance import verify
from packshot.provenance.marking import TOO_SMALL_TO_MARK
from packshot.settings import choices_of
from tests.backgrounds import landscape, product_photo
from tests.insertion.scenes import inserted, scene

PLACE = Placement(Box(140, 140, 120, 90))


def put(product, background_file, tmp_path, place=PLACE, **settings):
    background = load_background(background_file)
    return insert(
        product, background, place, tmp_path / "out", settings=InsertionSettings(**settings)
    )


def test_the_product_stands_there_and_all_else_is_as_it_was(product, background_file, tmp_path):
    before = background_file.read_bytes()
    made = put(product, background_file, tmp_path, light_azimuth_degrees=200, horizon=130.0)
    out, background = np.asarray(Image.open(made.file)), landscape()
    assert background_file.read_bytes() == before
    inside = out[150:220, 150:250].astype(int)
    assert (inside[..., 0] - inside[..., 1] > 80).mean() > 0.5, "it is red there"
    assert (inside.min(axis=2) > 200).mean() > 0.1, "with its white label"
    checks = {check.name: check for check in made.checks}
    assert checks["background unchanged"].value == 0
    assert {name for name, check in checks.items() if not check.passed} <= {"sharpness"}
    changed = (out != background).any(axis=2)
    assert not changed[:100].any()
    assert changed[228:234, 150:260].any(), "a shadow lies on the sand"
    record = json.loads(made.file.with_suffix(".json").read_text())
    assert record["box"] == {"left": 140, "top": 140, "width": 120, "height": 90}
    assert {check["name"] for check in record["checks"]} == checks.keys()
    with Image.open(made.sheet) as page:
        assert page.width > 1500


def test_what_stands_on_transparent_ground_is_seen(product, tmp_path):
    """A plate that is cut out along its horizon: its ground is there, but transparent."""
    plate = Image.fromarray(landscape()).convert("RGBA")
    plate.paste((90, 60, 60, 0), (0, 130, 400, 300))
    plate.save(tmp_path / "clear.png")
    place = Placement(Box(140, 140, 120, 90), notes=("as it was understood",))
    told = {"horizon": 130.0, "light_azimuth_degrees": 240.0, "light_hardness": 0.8}
    made = put(product, tmp_path / "clear.png", tmp_path, place, **told)
    out = np.asarray(Image.open(made.file)).astype(int)
    inside = out[150:220, 150:250]
    assert np.median(inside[..., 3]) == 255 and np.median(inside[..., 0] - inside[..., 1]) > 80
    shadow = out[200:260, 100:300]
    half = (shadow[..., 3] > 20) & (shadow[..., 3] < 235)
    assert half.sum() > 100, "a shadow lies on what is behind"
    assert np.array_equal(out[:100], np.asarray(plate)[:100])
    assert (out[290:, :, 3] == 0).all()
    assert made.notes == ("as it was understood", TOO_SMALL_TO_MARK)


def test_where_the_light_is_not_clear_the_shade_is_faint_and_that_is_said(
    product, background_file, tmp_path, monkeypatch
):
    before, cast = landscape().astype(float), {}
    for confidence in (0.2, 0.9):
        light = Light(0.0, 30.0, 0.9, confidence)
        monkeypatch.setattr(LightEstimator, "estimate", lambda self, colours, light=light: light)
        made = put(product, background_file, tmp_path / f"{confidence}", horizon=130.0)
        record = json.loads(made.file.with_suffix(".json").read_text())
        assert record["light"]["confidence"] == confidence
        assert (UNCLEAR in made.notes) == (UNCLEAR in record["notes"]) == (confidence < CLEAR)
        darker = (before - np.asarray(Image.open(made.file))).mean(axis=2)
        cast[confidence] = darker[200:245, 60:110].max()  # beyond the shade at its feet
        assert darker[225:235, 150:250].max() > 40, "it stands on its shade"
    assert cast[0.2] < 20 < 50 < cast[0.9]
    assert json.loads(made.file.with_suffix(".json").read_text())["notes"] == [*made.notes]


@pytest.mark.slow
def test_shadow_and_reflection_are_the_users(product, background_file, tmp_path):
    background = landscape().astype(int)

    def ground(**settings):
        return np.asarray(
            Image.open(put(product, background_file, tmp_path, horizon=130.0, **settings).file)
        )

    bare = ground(shadow_strength=0.0)
    changed = (bare != background).any(axis=2)
    changed[140:230, 140:260] = False
    assert not changed.any(), "without a shadow only the product's box changes"
    left, right = (ground(light_azimuth_degrees=a).astype(int) - background for a in (0.0, 180.0))
    assert left[:, :140].sum() < left[:, 262:].sum(), "light from the right throws it to the left"
    assert right[:, :140].sum() > right[:, 262:].sum()
    wet = ground(shadow_strength=0.0, reflection=1.0)
    assert ((wet[232:250, 160:240].astype(int) - background[232:250, 160:240])[..., 1]).mean() < -20


def test_a_background_that_vanishes_while_it_is_worked_on_is_told(
    product, background_file, tmp_path
):
    read = load_background(background_file)
    background_file.unlink()
    with pytest.raises(InsertionError, match=r"beach\.png is gone since it was read"):
        insert(product, read, Placement(Box(140, 140, 120, 90)), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 200.0, 270.0])
def test_a_mirror_image_is_no_seam_and_no_shadow(azimuth):
    shown = scene("smooth", 400, azimuth, 0.8, box=Box(120, 100, 160, 120))
    for strength in (0.0, 0.3, 1.0):
        checks = _checked(shown, inserted(shown, reflection=strength), [], None)
        missed = {check.name for check in checks if not check.passed}
        assert not missed & {"seam", "shadow direction"}, strength


@pytest.mark.slow
def test_the_same_again_is_the_same(product, background_file, tmp_path):
    first, second = (
        np.asarray(Image.open(put(product, background_file, tmp_path).file)) for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_it_says_of_what_it_was_made(product, background_file, tmp_path):
    made = put(product, background_file, tmp_path)
    told = verify(made.file)
    assert told.state == "valid" and told.source_type == "compositeCapture"
    assert told.ingredients == ("parentOf: beach.png", f"componentOf: {made.photo}")
    assert told.actions == ("c2pa.opened", "c2pa.edited: compositeCapture")
    save_choices(product, choices_of(provenance=False))
    told = verify(put(product, background_file, tmp_path).file)
    assert told.state == "none" and not told.source_type


def test_its_best_photo_is_whole_and_shows_the_view(product, tmp_path):
    shown = list_photos(product)
    (product.photos_folder / f"{shown[2].file.stem}.txt").write_text(
        "a photo of ohwx box, side view"
    )
    shown = list_photos(product)
    assert best_photos(shown, PLACE, "side")[0].photo.file == shown[2].file
    with pytest.raises(InsertionError, match="No photo shows the product as seen from the rear"):
        best_photos(shown, PLACE, "rear")
    mask = Image.new("L", (320, 240))
    mask.paste(255, (0, 40, 320, 200))
    for photo in shown:
        mask.save(product.masks_folder / f"{photo.file.stem}.png")
    with pytest.raises(InsertionError, match="No photo shows the product whole"):
        best_photos(list_photos(product), PLACE, None)


def test_a_photo_fits_a_mask_in_its_own_proportions(product):
    """A tall one squeezed would cover a wide mask as well."""
    shown = list_photos(product)
    for photo in shown:
        mask = Image.new("L", (320, 240))
        wide = photo is shown[1]
        mask.paste(255, (100, 80, 220, 140) if wide else (130, 60, 190, 180))
        mask.save(product.masks_folder / f"{photo.file.stem}.png")
    place = Placement(Box(20, 20, 200, 100), np.ones((100, 200), np.float32))
    assert [cut.photo.file for cut in best_photos(list_photos(product), place, None)] == [
        shown[1].file
    ]


@pytest.mark.slow
def test_no_other_photo_is_tried_for_what_none_can_mend(
    product, background_file, tmp_path, monkeypatch
):
    inserting = import_module(
        "packshot.insertion.insert"
    )  # the package has a function of that name
    from packshot.insertion import quality_checks as checks

    tried, name = [], "seam"

    def failing(scene, made, *_):
        tried.append(made.cut.photo.file)
        return (checks.Check(name, 9.0, (0, 1), ""),)

    monkeypatch.setattr(inserting, "_checked", failing)
    put(product, background_file, tmp_path)
    assert len(tried) == 1
    tried.clear()
    name = "sharpness"
    put(product, background_file, tmp_path)
    assert len(tried) > 1 and len(set(tried)) == len(tried)


def test_a_photo_whose_mask_took_in_something_else_comes_last(product):
    shown = list_photos(product)
    number = int(shown[0].source.removesuffix(".png"))
    wide = product_photo(number)[1].filter(ImageFilter.MaxFilter(51))
    wide.save(product.masks_folder / f"{shown[0].file.stem}.png")
    ranked = best_photos(list_photos(product), PLACE, None)
    assert ranked[-1].photo.file == shown[0].file


def test_a_cut_out_has_no_fringe_of_its_photo(product):
    """The mask is a pixel too wide: what it lets in is not the background's colour."""
    photo = list_photos(product)[0]
    number = int(photo.source.removesuffix(".png"))
    wide = product_photo(number)[1].filter(ImageFilter.MaxFilter(3))
    wide.save(product.masks_folder / f"{photo.file.stem}.png")
    cut = cut_out(list_photos(product)[0])
    rim = np.concatenate([cut.colours[0], cut.colours[-1], cut.colours[:, 0], cut.colours[:, -1]])
    assert (rim[:, 0] - rim[:, 1] > 0.3).mean() > 0.9
    assert len(cut.beside) > 10_000


def test_upright_sides_have_a_rim_too(tmp_path):
    """A can before a wall: the mask's box, two pixels too wide, has nothing of the wall but those two."""
    rng = np.random.default_rng(0)
    wall = 0.4 + 0.05 * cv2.GaussianBlur(rng.standard_normal((300, 300, 3)), (0, 0), 4)
    picture = (wall.clip(0, 1) * 255).astype(np.uint8)
    picture[60:260, 100:200] = rng.normal((190, 30, 30), 5, (200, 100, 3))
    file, mask = tmp_path / "can.png", tmp_path / "mask.png"
    Image.fromarray(picture).save(file)
    drawn = np.zeros((300, 300), np.uint8)
    drawn[58:262, 98:202] = 255
    Image.fromarray(drawn).save(mask)
    cut = cut_out(Photo(file, "", 300, 300, None, mask, file.name, ""))
    assert cut.alpha.shape == (204, 104)
    assert cut.alpha[20:180, [0, 1, -1, -2]].mean() < 0.1
    assert cut.alpha[20:180, [2, -3]].mean() > 0.9


@pytest.fixture
def painter(loaded, tiny_checkpoint, monkeypatch):
    """A tiny base, and a segmenter that finds the middle of what it is shown."""

    class Middle:
        def mask(self, picture):
            found = Image.new("L", picture.size)
            width, height = picture.size
            found.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
            return found

    monkeypatch.setattr("packshot.insertion.inpaint_product.BundledSegmenter", Middle)
    return loaded(tiny_checkpoint("sd1"))


@pytest.mark.slow
def test_what_is_painted_stays_in_its_region(product, background_file, tmp_path, painter):
    from packshot.lora import Lora

    background = load_background(background_file)
    made = insert(
        product, background, PLACE, tmp_path / "out", base=painter, loras=[(Lora({}), 1.0)],
        settings=InsertionSettings(method="inpaint", steps=2, tries=1),
    )  # fmt: skip
    changed = (np.asarray(Image.open(made.file)) != landscape()).any(axis=2)
    assert changed[150:220, 150:250].mean() > 0.9
    far = np.ones_like(changed)
    far[115:275, 95:305] = False
    assert not changed[far].any()
    told = {check.name: check.value for check in made.checks}
    assert told["background unchanged"] == 0 and told["count"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("empty", [1, 2])
def test_a_seed_that_paints_no_product_is_passed_over(
    empty, product, background_file, tmp_path, painter, monkeypatch
):
    """`empty` seeds of two paint nothing: the other is taken, or there is none and it says so."""
    from packshot.insertion import inpaint_product
    from packshot.lora import Lora

    found, asked = inpaint_product.BundledSegmenter, []

    class Late(found):
        def mask(self, picture):
            asked.append(picture)
            nothing = Image.new("L", picture.size)
            return nothing if len(asked) <= empty else super().mask(picture)

    monkeypatch.setattr(inpaint_product, "BundledSegmenter", Late)

    def paint():
        return insert(
            product, load_background(background_file), PLACE, tmp_path / "out", base=painter,
            loras=[(Lora({}), 1.0)],
            settings=InsertionSettings(method="inpaint", steps=2, tries=2),
        )  # fmt: skip

    if empty == 1:
        assert paint().seed == 1
    else:
        with pytest.raises(InsertionError, match="painted no product"):
            paint()
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_refining_changes_rim_and_light_and_keeps_the_print(
    product, background_file, tmp_path, painter
):
    background, told = (
        load_background(background_file),
        {"horizon": 130.0, "light_azimuth_degrees": 200.0},
    )

    def made(**settings):
        done = insert(
            product, background, PLACE, tmp_path / "out", base=painter,
            settings=InsertionSettings(tries=1, steps=4, **told, **settings),
        )  # fmt: skip
        assert {check.name: check.value for check in done.checks}["background unchanged"] == 0
        return np.asarray(Image.open(done.file)).astype(np.float32)

    plain, over = made(), made(refine=0.6)
    assert np.array_equal(plain, made(refine=0.0))
    inner = (slice(155, 215), slice(155, 245))
    ratio = (over[inner] + 1) / (plain[inner] + 1)
    assert np.ptp(ratio, axis=2).max() < 0.15, "inside only light changes: hue and print stay"
    assert ratio.min() >= 0.8 and ratio.max() <= 1.25
    assert np.abs(over - plain)[225:234, 140:260].mean() > 1, "the foot is gone over"
    assert np.array_equal(over, made(refine=0.6))


def test_refining_needs_a_base(product, background_file, tmp_path):
    with pytest.raises(InsertionError, match="There is no base to refine the cut-out with"):
        put(product, background_file, tmp_path, refine=0.3)


def test_without_a_lora_nothing_is_generated(product, background_file, tmp_path):
    with pytest.raises(InsertionError, match=r"There is no LoRA to inpaint with: .*redbox.*--lora"):
        put(product, background_file, tmp_path, method="inpaint")
    assert not (tmp_path / "out").exists()
