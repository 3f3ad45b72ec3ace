import math
from dataclasses import replace
from pathlib import Path

import pytest

from packshot.insertion.background import Box
from packshot.insertion.camera import Camera
from packshot.insertion.photo_camera import PhotoCamera
from packshot.insertion.plate_camera import PlateCamera
from packshot.insertion.viewpoint import Viewpoint
from packshot.insertion.viewpoint_checks import viewpoint_checks, viewpoint_notes


def place(elevation=30.0, confidence=1.0, roll=0.0, by_level=True, left=350):
    """A place in the picture's middle, seen from that many degrees above."""
    camera = Camera(800, 600, 900.0, math.radians(elevation), math.radians(roll))
    plate = PlateCamera(camera, confidence, "as given", by_level=by_level)
    return Viewpoint.at(plate, Box(left, 200, 100, 100))


def photo(elevation=30.0, spread=3.0, tilt=None):
    return PhotoCamera(elevation, spread, tilt, None, "the caption")


def test_a_place_is_seen_from_its_cameras_angle():
    assert place(30).elevation == pytest.approx(30) and place(roll=4).tilt == pytest.approx(4)
    assert place(roll=4, confidence=0.2).tilt == 0, "a guess turns nothing"
    assert place(roll=5, by_level=False).tilt == pytest.approx(1), "pictures tell it badly"
    assert place(roll=15, by_level=False).tilt == 0, "nobody holds a camera so"
    assert 0 < place(roll=4, left=400).tilt - 4 == pytest.approx(place(left=400).tilt, abs=0.1)
    assert place(roll=4, left=600).tilt == pytest.approx(4 + 2.5), "it would look as if it fell"
    assert place(confidence=0.2).spread > 3 * place(confidence=0.9).spread


def test_photos_fit_that_look_as_steeply():
    seen = place(30)
    fits = [seen.fits(photo(angle)) for angle in (30, 24, 15, 0)]
    assert fits == sorted(fits, reverse=True) and fits[0] > 4 * fits[2]
    assert fits[2] < 6 * fits[3], "both look wrong"
    assert seen.fits(photo(25)) > seen.fits(photo(25, 15)), "one that is known fits better"
    assert seen.fits(photo(5, 15)) > seen.fits(photo(5)), "one that is not may yet fit"


def test_what_leans_is_turned_a_little_and_not_much():
    seen = place(roll=2)
    for tilt, turn in ((6, -4), (2.2, 0), (None, 0), (20, 0), (-5, 7), (-9.5, 10)):
        assert seen.turn_for(photo(tilt=tilt)) == pytest.approx(turn)


def test_checks_and_notes_say_what_is_missing():
    passed = viewpoint_checks(place(30), photo(20))
    assert [check.name for check in passed] == ["horizon", "viewpoint"]
    assert all(check.passed for check in passed) and not viewpoint_notes(place(30), photo(20))
    _, apart = viewpoint_checks(place(35), photo(12))
    assert not apart.passed and apart.value == pytest.approx(23) and "less steeply" in apart.meaning
    (note,) = viewpoint_notes(place(35), photo(12))
    assert (
        "the nearest is from about 12 degrees above: take one from about 35 degrees above" in note
    )
    guess = viewpoint_checks(place(35, confidence=0.3), photo(12))
    assert [check.passed for check in guess] == [False]
    (note,) = viewpoint_notes(place(35, confidence=0.3), photo(12))
    assert (
        note.startswith("the horizon is a guess: -330 px from the top") and "set --horizon" in note
    )
    assert len(viewpoint_checks(place(), None)) == 1


def test_a_guessed_horizon_does_no_harm_where_the_photo_fits_all_that_it_may_be():
    seen = place(30, confidence=0.45)
    low, high = seen.interval
    assert high - low == pytest.approx(2 * 1.64 * seen.spread)
    near, far = viewpoint_checks(seen, photo(30)), viewpoint_checks(seen, photo(48))
    assert [check.passed for check in near] == [True] and near[0].value == pytest.approx(high - 30)
    assert [check.passed for check in far] == [False]
    turned = viewpoint_checks(seen, photo(30), turns=30.0)
    assert [check.passed for check in turned] == [False], "the shadow would fall elsewhere"
    sized = viewpoint_checks(replace(seen, sizes=True), photo(30))
    assert [check.passed for check in sized] == [False], "its size would be another"
    vague = viewpoint_checks(place(30, confidence=0.1), photo(30))
    assert [check.passed for check in vague] == [False]


def test_from_several_photos_the_one_that_looks_alike_is_taken(product, background_file):
    """The captions tell; else all four are alike."""
    from packshot.insertion.cutouts import best_photos
    from packshot.insertion.placement import Placement
    from packshot.photos.photo_set import list_photos

    words = ("eye level", "seen from above", "top-down", "seen from below")
    photos = [
        replace(one, caption=f"a box, {how}")
        for one, how in zip(list_photos(product), words, strict=True)
    ]
    wanted = {2: "eye level", 78: "top-down", 40: "seen from above"}
    for elevation, how in wanted.items():
        ranked = best_photos(photos, Placement(Box(0, 0, 60, 60)), None, seen=place(elevation))
        assert how in ranked[0].photo.caption and ranked[0].camera
    plain = best_photos(photos, Placement(Box(0, 0, 60, 60)), None)
    assert plain[0].camera is None and Path(plain[0].photo.file).is_file()
