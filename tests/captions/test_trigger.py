import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.captions.trigger import tags_with_trigger, with_trigger
from packshot.images.sidecars import MAX_CAPTION
from packshot.settings import Subject

CAR = Subject(name="Dacia Duster", trigger="ohwx", class_noun="car")
WATCH = Subject(name="Seconda 1120", trigger="ohwx", class_noun="watch")
MUG = Subject(name="Blue Mug", trigger="zwx", class_noun="coffee mug")
CAN = Subject(name="Fizz", trigger="ohwx", class_noun="can")
SHOES = Subject(name="Runner", trigger="ohwx", class_noun="shoes")
BOX = Subject(name="Tea", trigger="ohwx", class_noun="box")
GIZMO = Subject(name="Gizmo", trigger="ohwx", class_noun="gizmo")

CAPTIONS = [
    # Articles and adjectives go with the noun, whatever it is called.
    (CAR, "a red car parked in the snow", "a photo of ohwx car parked in the snow"),
    (CAR, "A shiny, dark green SUV on a hill.", "a photo of ohwx car on a hill"),
    (CAR, "a black and white sedan at night", "a photo of ohwx car at night"),
    (CAR, "red car in the rain", "a photo of ohwx car in the rain"),
    (CAR, "the vehicle by a house", "a photo of ohwx car by a house"),
    (CAR, "a Dacia Duster on a beach", "a photo of ohwx car on a beach"),
    (CAR, "the new dacia duster suv in a forest", "a photo of ohwx car in a forest"),
    (CAR, "his Duster under a tree", "a photo of ohwx car under a tree"),
    (WATCH, "a silver wristwatch on a wrist", "a photo of ohwx watch on a wrist"),
    (WATCH, "a gold analog timepiece lies on a book", "a photo of ohwx watch lies on a book"),
    (MUG, "a blue ceramic mug with tea in it", "a photo of zwx coffee mug with tea in it"),
    (MUG, "white cup on a book", "a photo of zwx coffee mug on a book"),
    (GIZMO, "a green gizmo on a rock", "a photo of ohwx gizmo on a rock"),
    # What it is in at the time stays.
    (CAR, "a parked red car", "a photo of parked ohwx car"),
    (CAR, "the front of a muddy white suv", "a photo of the front of muddy ohwx car"),
    # Whoever else is there stays.
    (CAR, "a man driving a red car", "a photo of a man driving ohwx car"),
    (CAR, "a woman and a car in a field", "a photo of a woman and ohwx car in a field"),
    (CAR, "a woman and car", "a photo of a woman and ohwx car"),
    (CAR, "the man's car", "a photo of the man's ohwx car"),
    (CAR, "the car's wheel", "a photo of ohwx car's wheel"),
    (WATCH, "a man holding a black watch", "a photo of a man holding ohwx watch"),
    # Words that only contain the noun.
    (CAR, "a red car in a car park", "a photo of ohwx car in a car park"),
    (CAR, "a car park with trees", "a photo of ohwx car, a car park with trees"),
    (CAR, "a cardboard box on a carpet", "a photo of ohwx car, a cardboard box on a carpet"),
    (CAR, "a car-free street", "a photo of ohwx car, a car-free street"),
    (CAR, "a scar, a postcard and vehicular traffic",
     "a photo of ohwx car, a scar, a postcard and vehicular traffic"),
    (WATCH, "a watchtower on a hill", "a photo of ohwx watch, a watchtower on a hill"),
    (WATCH, "people watch the sea", "a photo of ohwx watch, people watch the sea"),
    (CAN, "you can see a can on a rock", "a photo of ohwx can on a rock"),
    (CAN, "trees that can be seen", "a photo of ohwx can, trees that can be seen"),
    (BOX, "a boxer beside a cardboard box", "a photo of a boxer beside ohwx box"),
    # Several: the first definite or single one is the product, others are others.
    (CAR, "a red car next to a blue car", "a photo of ohwx car next to a blue car"),
    (CAR, "two cars and a bus", "a photo of ohwx car, two cars and a bus"),
    (CAR, "other cars behind the car", "a photo of other cars behind ohwx car"),
    (CAR, "a police car behind a silver coupe", "a photo of a police car behind ohwx car"),
    (CAR, "cars on a street", "a photo of ohwx car, cars on a street"),
    (CAR, "a toy car on a shelf", "a photo of ohwx car, a toy car on a shelf"),
    (SHOES, "a pair of red sneakers on a rock", "a photo of a pair of ohwx shoes on a rock"),
    # Later mentions.
    (CAR, "A red car is on a hill. The car is wet. Its driver waves.",
     "a photo of ohwx car is on a hill, the car is wet, its driver waves"),
    (CAR, "an SUV on a road; the Dacia Duster faces left",
     "a photo of ohwx car on a road, the car faces left"),
    # What says nothing at the start goes; how the picture was taken goes to the end.
    (CAR, "The image shows a red car.", "a photo of ohwx car"),
    (CAR, "This is a picture of a car by a house", "a photo of ohwx car by a house"),
    (CAR, "In this image, we can see a car.", "a photo of ohwx car"),
    (CAR, "In the picture there is a vehicle near trees.", "a photo of ohwx car near trees"),
    (CAR, "arafed red car by a wall", "a photo of ohwx car by a wall"),
    (CAR, "there are trees behind the car", "a photo of trees behind ohwx car"),
    (CAR, "a low angle view of a silver car", "a photo of ohwx car, low-angle view"),
    (CAR, "a close-up photo of a car", "a photo of ohwx car, close-up"),
    (CAR, "front view of a red car", "a photo of ohwx car, front view"),
    (CAR, "a black and white photo of a car", "a photo of ohwx car, black and white"),
    (CAR, "a man taking a photo of a car", "a photo of a man taking a photo of ohwx car"),
    # Consistent words.
    (CAR, "a car parked on the side of a road at dusk",
     "a photo of ohwx car parked by the road at sunset"),
    # Already tied, nothing there, quotes and lines.
    (CAR, "a photo of ohwx car in the snow", "a photo of ohwx car in the snow"),
    (CAR, "ohwx", "a photo of ohwx car"),
    (CAR, "", "a photo of ohwx car"),
    (CAR, '  "A red car\n on a\thill." ', "a photo of ohwx car on a hill"),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "text", "caption"), CAPTIONS)
def test_a_free_caption_is_tied_to_the_product(subject, text, caption):
    assert with_trigger(text, subject) == caption
    assert with_trigger(caption, subject) == caption


@pytest.mark.parametrize(
    ("subject", "tags", "caption"),
    [
        (CAR, "no humans, car, ground vehicle, outdoors, road", "ohwx car, outdoors, road"),
        (CAR, "1car, red car, sports car, vehicle focus, night", "ohwx car, night"),
        (CAR, "car interior, police car, car park", "ohwx car, car interior, police car, car park"),
        (CAR, "highres, photo (medium), sky, sky, ^_^", "ohwx car, sky, ^_^"),
        (WATCH, "watch, wristwatch, wooden table, 2others", "ohwx watch, wooden table, 2others"),
        (MUG, "cup, 1cup, coffee mug, steam, 3cups", "zwx coffee mug, steam"),
        (CAR, "", "ohwx car"),
    ],
)
def test_tags_are_tied_to_the_product(subject, tags, caption):
    assert tags_with_trigger(tags.split(", "), subject) == caption


def test_what_a_side_car_cannot_hold_is_cut_after_a_remark():
    text = "a red car on a hill, " + ", ".join(["a tall tree behind it"] * 30)
    caption = with_trigger(text, CAR)
    assert len(caption) <= MAX_CAPTION and caption.endswith("a tall tree behind it")
    caption = with_trigger("a red car " + "very " * 200, CAR)
    assert 290 < len(caption) <= MAX_CAPTION and caption.startswith("a photo of ohwx car very")
    assert len(tags_with_trigger([f"tag number {n}" for n in range(99)], CAR)) <= MAX_CAPTION


SAID = (
    "a the red car cars SUV Duster ohwx and of in this is photo image view , . park watch man's "
    "another two parked close-up at dusk 's there can see"
)
WORDS = st.sampled_from(SAID.split())


@given(st.lists(WORDS, max_size=14))
def test_whatever_is_said_the_trigger_is_there_and_twice_tied_is_once_tied(said):
    caption = with_trigger(" ".join(said), CAR)
    assert caption.startswith("a photo of ") and "ohwx car" in caption
    assert with_trigger(caption, CAR) == caption
    assert len(caption) <= MAX_CAPTION


@given(st.text(max_size=400))
def test_any_text_at_all_becomes_one_line(text):
    caption = with_trigger(text, MUG)
    assert "\n" not in caption and "zwx coffee mug" in caption and len(caption) <= MAX_CAPTION
