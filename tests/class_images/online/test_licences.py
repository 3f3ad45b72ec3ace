import pytest

from packshot.class_images.online.licences import check_licences, licence_code, licence_name
from packshot.errors import ClassImagesError

SAID = {
    "by": ("by", "CC BY"),
    "by 2.0": ("by", "CC BY 2.0"),
    "CC BY 4.0": ("by", "CC BY 4.0"),
    "cc-by-sa-3.0": ("by-sa", "CC BY-SA 3.0"),
    "CC BY-SA 3.0 de": ("by-sa", "CC BY-SA 3.0"),
    "CC BY-NC-ND 2.5": ("by-nc-nd", "CC BY-NC-ND 2.5"),
    "https://creativecommons.org/licenses/by-nc/2.0/deed.it": ("by-nc", "CC BY-NC 2.0"),
    "CC0": ("cc0", "CC0 1.0"),
    "cc0 1.0": ("cc0", "CC0 1.0"),
    "http://creativecommons.org/publicdomain/zero/1.0/": ("cc0", "CC0 1.0"),
    "pdm 1.0": ("pdm", "public domain"),
    "Public domain": ("pdm", "public domain"),
    "https://creativecommons.org/publicdomain/mark/1.0/": ("pdm", "public domain"),
    "GFDL": (None, "GFDL"),
    "sampling+": (None, "sampling+"),
    "CC BY-ND-SA 9": (None, "CC BY-ND-SA 9"),
    "bystander": (None, "bystander"),
    "": (None, "unknown"),
}


@pytest.mark.parametrize("said", SAID)
def test_licences_as_they_are_told(said):
    assert (licence_code(said), licence_name(said)) == SAID[said]


def test_name_and_deed_together():
    deed = "https://creativecommons.org/licenses/by/4.0"
    assert licence_code("see its page", deed) == "by"
    assert licence_name("CC BY", deed) == "CC BY 4.0"


def test_what_may_be_asked_for():
    assert check_licences([" BY", "cc0", "by", ""]) == ("by", "cc0")
    with pytest.raises(
        ClassImagesError, match=r"^--class-licences names none\. Choose from cc0, pdm, by,"
    ):
        check_licences([""])
