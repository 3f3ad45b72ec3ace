import pytest
import torch
from torch.nn import functional as F

from packshot.captions.clip_interrogator import ClipInterrogator
from packshot.captions.phrases import Bank, Group
from packshot.settings import Subject

SUBJECT = Subject(name="Duster", trigger="ohwx", class_noun="car")
BANK = Bank(
    groups={
        "setting": Group(
            choices=[["in a studio"], ["in the snow", "in white fields"], ["on a beach"]]
        ),
        "time": Group(unless=["in a studio"], choices=[["in daylight"], ["at night"]]),
        "view": Group(joined_by=", ", choices=[["side view"], ["rear view"]]),
    }
)
WORDS = [w for group in BANK.groups.values() for wordings in group.choices for w in wordings]


class KnownVectors:
    """Each phrase has an axis of its own; a picture's pixels say how much of each it shows."""

    name = "known"

    def __init__(self, scale=20.0):
        self.scale, self.asked = scale, []

    def embed_texts(self, texts):
        self.asked += texts
        axes = [next(i for i, words in enumerate(WORDS) if text.endswith(words)) for text in texts]
        return F.one_hot(torch.tensor(axes), len(WORDS)).float()

    def embed_images(self, pixels):
        return F.normalize(pixels.flatten(1)[:, : len(WORDS)], dim=-1)


def picture(**shown):
    amounts = torch.zeros(12)
    for words, amount in shown.items():
        amounts[WORDS.index(words.replace("_", " "))] = amount
    return amounts.view(1, 3, 2, 2)


@pytest.mark.parametrize(
    ("shown", "caption"),
    [
        (
            {"in_the_snow": 1, "at_night": 1, "side_view": 1},
            "a photo of ohwx car in the snow at night, side view",
        ),
        ({"in_white_fields": 1, "rear_view": 1}, "a photo of ohwx car in the snow, rear view"),
        (
            {"on_a_beach": 1, "in_the_snow": 1.4, "at_night": 1},
            "a photo of ohwx car at night",
        ),  # in doubt
        ({"in_a_studio": 1, "at_night": 1}, "a photo of ohwx car in a studio"),
        ({}, "a photo of ohwx car"),
    ],
)
def test_what_is_clearly_ahead_is_said(shown, caption):
    assert ClipInterrogator(KnownVectors(), BANK).caption_pixels(picture(**shown), SUBJECT) == [
        caption
    ]


def test_with_a_low_temperature_nothing_is_clear():
    shown = picture(in_the_snow=1, side_view=1)
    assert ClipInterrogator(KnownVectors(scale=0.5), BANK).caption_pixels(shown, SUBJECT) == [
        "a photo of ohwx car"
    ]


def test_texts_are_whole_prompts_embedded_once_and_pictures_come_in_batches():
    similarity = KnownVectors()
    interrogator = ClipInterrogator(similarity, BANK)
    batch = torch.cat([picture(in_the_snow=1), picture(side_view=1)])
    for _ in range(2):
        assert interrogator.caption_pixels(batch, SUBJECT) == [
            "a photo of ohwx car in the snow", "a photo of ohwx car, side view",
        ]  # fmt: skip
    assert len(similarity.asked) == len(WORDS)
    assert "a photo of a car in white fields" in similarity.asked
    assert "a photo of a car, rear view" in similarity.asked


def test_limits_are_the_groups_own():
    shown = picture(in_the_snow=1, side_view=0.3)
    loose = BANK.groups["view"].model_copy(update={"least_probability": 0.1, "least_margin": 0.0})
    bank = Bank(groups=BANK.groups | {"view": loose})
    strict = loose.model_copy(update={"least_margin": 0.999})
    assert (
        ClipInterrogator(KnownVectors(), bank)
        .caption_pixels(shown, SUBJECT)[0]
        .endswith(", side view")
    )
    bank = Bank(groups=BANK.groups | {"view": strict})
    assert (
        ClipInterrogator(KnownVectors(), bank)
        .caption_pixels(shown, SUBJECT)[0]
        .endswith("in the snow")
    )
