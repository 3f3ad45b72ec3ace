"""Things that fit on a table, built from specs without Blender: one module a class of product."""

from __future__ import annotations

from packshot.pocket.world.things.biscuit import Biscuit
from packshot.pocket.world.things.bottle import Bottle
from packshot.pocket.world.things.box import Box
from packshot.pocket.world.things.can import Can
from packshot.pocket.world.things.model import Thing
from packshot.pocket.world.things.mug import Mug
from packshot.pocket.world.things.pen import Pen
from packshot.pocket.world.things.snack_pack import SnackPack
from packshot.pocket.world.things.watch import Watch

THINGS: dict[str, type[Thing]] = {
    thing.noun: thing for thing in (Biscuit, Bottle, Box, Can, Mug, Pen, SnackPack, Watch)
}
