from PIL import Image

from packshot.captions.plain import Plain
from packshot.settings import Subject


def test_each_picture_has_the_same_line_without_being_looked_at():
    subject = Subject(name="Duster", trigger="ohwx", class_noun="pickup truck")
    said = Plain().caption((None for _ in range(3)), subject)
    assert said == ["a photo of ohwx pickup truck"] * 3
    assert Plain().caption([], subject) == []
    assert Plain().caption([Image.new("L", (1, 1))], subject) == said[:1]
