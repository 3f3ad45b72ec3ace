"""The side that a photo shows, said where a description leaves it out."""

import torch
from PIL import Image
from torch.nn import functional as F

from packshot.captions.phrases import general_bank
from packshot.captions.views import says_view, with_views
from packshot.settings import Subject

CAR = Subject(name="Duster", trigger="ohwx", class_noun="car")


class Says:
    name, batch = "says", 1

    def __init__(self, *captions):
        self.captions = list(captions)

    def caption(self, pictures, subject):
        assert len(list(pictures)) == len(self.captions)
        return self.captions


class Clip:
    """Sees a red picture from the side, a blue one from the front; of others it is not sure."""

    name, scale = "clip", 100.0

    def embed_images(self, pixels):
        red, _, blue = pixels.mean(dim=(2, 3)).T
        return F.normalize(torch.stack([red + 1, blue + 1], dim=1), dim=1)

    def embed_texts(self, texts):
        rows = [
            [float("side" in text), float("the front" in text or "front view" in text)]
            for text in texts
        ]
        return F.normalize(torch.tensor(rows) + 1e-3, dim=1)


def test_the_view_is_said_where_it_is_sure_and_not_said_yet(car=CAR):
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "red", "gray")]
    captioner = with_views(
        Says("a photo of ohwx car in the snow", "ohwx car, rear view", "ohwx car on a road"), Clip()
    )
    assert (captioner.name, captioner.batch) == ("says", 1)
    assert captioner.caption(iter(pictures), car) == [
        "a photo of ohwx car in the snow, side view", "ohwx car, rear view", "ohwx car on a road",
    ]  # fmt: skip


def test_without_a_clip_captions_are_as_they_are():
    captioner = Says("x")
    assert with_views(captioner, None) is captioner


def test_every_view_of_the_bank_is_known_as_one():
    for wordings in general_bank().groups["view"].choices:
        assert says_view(f"a photo of ohwx car, {wordings[0]}")
    assert not says_view("a photo of ohwx car by the sea")
