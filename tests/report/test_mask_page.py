"""The page of masks: what is cut out, what is in doubt, and nothing that runs."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image, ImageDraw

from packshot.photos.photo_set import add_photos, list_photos, write_mask
from packshot.project import create_project
from packshot.report import write_mask_page
from tests.projects import painted


def pictures_in(text: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_cut_outs_on_white_and_on_black_the_doubtful_first(tmp_path):
    project = create_project(tmp_path / "project", name="<b>Duster</b>", class_noun="car")
    for index in range(3):
        painted(index, (192, 160)).save(tmp_path / f"{index}.png")
    add_photos(project, [tmp_path / f"{index}.png" for index in range(3)])
    mask = Image.new("L", (192, 160))
    ImageDraw.Draw(mask).ellipse((60, 40, 130, 110), fill=255)
    photos = list_photos(project)
    write_mask(project, photos[0], mask, "bundled", 0.02)
    write_mask(project, photos[1], mask, "bundled", 0.31)
    page = write_mask_page(project)
    text = page.read_text()
    assert page == project.root / "masks.html"
    assert "<b>Duster" not in text and "<script" not in text
    captions = re.findall(r"<figcaption>(\S+)", text)
    assert captions == ["2.png", "1.png", "0.png"], "without a mask, in doubt, agreed"
    assert 'class="doubt">doubt 0.31' in text and "<span>doubt 0.02" in text
    assert "1 without a mask" in text and "photos/masks/1.png" in text
    pictures = pictures_in(text)
    assert len(pictures) == 3 + 2 * 2
    white, black = pictures[2], pictures[3]
    assert white[0, 0].min() > 230 and black[0, 0].max() < 25
    middle = white.shape[0] // 2, white.shape[1] // 2
    assert np.abs(white[middle].astype(int) - black[middle].astype(int)).max() < 12


def test_a_drawn_mask_is_yours_and_one_that_cannot_be_read_is_named(tmp_path):
    project = create_project(tmp_path / "project", name="Duster", class_noun="car")
    for index in range(2):
        painted(index, (192, 160)).save(tmp_path / f"{index}.png")
    add_photos(project, [tmp_path / "0.png", tmp_path / "1.png"])
    project.masks_folder.mkdir(exist_ok=True)
    Image.new("L", (192, 160), 255).save(project.masks_folder / "0.png")
    (project.masks_folder / "1.png").write_bytes(b"no image")
    text = write_mask_page(project).read_text()
    assert "by you" in text and "doubt 0" not in text
    assert re.search(r'class="none">[^<]*1\.png', text)
