"""Checks and notes of how a place is seen: is the horizon known, and is there a photo that sees alike?"""

from __future__ import annotations

from packshot.insertion.photo_camera import PhotoCamera
from packshot.insertion.plate_camera import SURE, PlateCamera
from packshot.insertion.quality_checks import Check
from packshot.insertion.viewpoint import Viewpoint

MOST_TURN = 25.0
"""Degrees in the picture: that far a shadow may turn before it is noticed, as for its own check."""
MOST_APART = 20.0
"""Degrees between photo and place, beyond which a product seems to tip over."""


def viewpoint_checks(seen: Viewpoint, photo: PhotoCamera | None, turns: float = 0.0) -> list[Check]:
    """Whether the horizon is known, and whether the photo looks down as steeply as the place is seen.

    A horizon that is a guess does no harm where all that it may be makes no difference that is seen:
    the photo fits the place all the same, and the shadow falls the same way. Else, nothing is known
    of the place to compare the photo with.

    Args:
        turns: degrees that the cast shadow turns in the picture within what the horizon may be.
    """
    plate = seen.plate
    if photo and not plate.is_sure and not seen.sizes:
        apart = max(abs(end - photo.elevation) for end in seen.interval)
        if apart <= MOST_APART and turns <= MOST_TURN:
            why = "degrees at most that the photo looks otherwise, wherever it is"
            return [Check("horizon", apart, (0.0, MOST_APART), why)]
    checks = [Check("horizon", plate.confidence, (SURE, 1.0), f"how sure it is: {plate.by}")]
    if photo and plate.is_sure:
        apart = photo.elevation - seen.elevation
        meaning = f"degrees that the photo looks {'more' if apart > 0 else 'less'} steeply"
        checks.append(Check("viewpoint", abs(apart), (0.0, MOST_APART), meaning))
    return checks


def viewpoint_notes(seen: Viewpoint, photo: PhotoCamera | None) -> tuple[str, ...]:
    """What a user should know or do about the horizon and the photo."""
    notes = horizon_notes(seen.plate)
    if photo and seen.plate.is_sure and abs(photo.elevation - seen.elevation) > MOST_APART:
        notes += (
            f"no photo sees the product as this place is seen, {_from(seen.elevation)}; the nearest is "
            f"{_from(photo.elevation)}: take one {_from(seen.elevation)}",
        )
    return notes


def horizon_notes(plate: PlateCamera) -> tuple[str, ...]:
    """That the horizon is a guess, where it is one."""
    if plate.is_sure:
        return ()
    return (
        f"the horizon is a guess: {plate.camera.horizon:.0f} px from the top, by {plate.by}, "
        f"{plate.confidence:.0%} sure; set --horizon, which size, shadow and photo depend on",
    )


def _from(degrees: float) -> str:
    side = "above" if degrees >= 0 else "below"
    return f"from about {abs(degrees):.0f} degrees {side}"
