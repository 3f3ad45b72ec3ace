"""Things that fit on a table, built from specs without Blender: one module a class of product."""

from __future__ import annotations

from packshot_pocket.scenes.things.biscuit import Biscuit
from packshot_pocket.scenes.things.bottle import Bottle
from packshot_pocket.scenes.things.box import Box
from packshot_pocket.scenes.things.can import Can
from packshot_pocket.scenes.things.model import Thing
from packshot_pocket.scenes.things.mug import Mug
from packshot_pocket.scenes.things.pen import Pen
from packshot_pocket.scenes.things.snack_pack import SnackPack
from packshot_pocket.scenes.things.watch import Watch

THINGS: dict[str, type[Thing]] = {
    thing.noun: thing for thing in (Biscuit, Bottle, Box, Can, Mug, Pen, SnackPack, Watch)
}
