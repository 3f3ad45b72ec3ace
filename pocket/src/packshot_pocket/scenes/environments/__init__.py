"""Where products are: places, their skies and lights, built from a scene's look."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np

from packshot_pocket.scenes.environments.indoors import studio, table_top
from packshot_pocket.scenes.environments.kitchen import kitchen
from packshot_pocket.scenes.environments.lamps import LIGHT
from packshot_pocket.scenes.environments.outdoors import (
    beach,
    desert,
    forest,
    meadow,
    mountain,
    snow,
)
from packshot_pocket.scenes.environments.street import street
from packshot_pocket.scenes.environments.terrain import Random
from packshot_pocket.scenes.materials import sky
from packshot_pocket.scenes.spec import OUTDOORS, SceneSpec

SETTINGS: dict[str, Callable[[Random, bool], None]] = {
    "mountain": mountain,
    "desert": desert,
    "beach": beach,
    "city street": street,
    "forest": forest,
    "snow": snow,
    "meadow": meadow,
    "studio": studio,
    "table top": table_top,
    "kitchen": kitchen,
}

# in stops
EXPOSURE = {"studio": -0.45, "city street": 0.5, "forest": 0.5, "mountain": 0.25, "meadow": 0.1}


def build_setting(scene: SceneSpec) -> None:
    """Build a scene's place, sky and lights."""
    rng = np.random.default_rng(scene.look)
    SETTINGS[scene.setting](rng, scene.time == "night")
    if scene.setting not in OUTDOORS:
        sky([(0, (0.6, 0.6, 0.6)), (1, (0.75, 0.75, 0.75))], (1, 1, 1), 0, 0.35, 0)
    else:
        LIGHT[scene.time](rng)
    shade = EXPOSURE.get(scene.setting, 0.0)
    bpy.context.scene.view_settings.exposure = shade if scene.time != "night" else 0.25
