"""`Scene`: the crop to insert into, with its ground and light; `Composite`: the result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packshot.insertion.background import Background, Box, Colours
from packshot.insertion.cutouts import CutOut
from packshot.insertion.lighting import Light
from packshot.insertion.placement import Placement
from packshot.insertion.shadows import Ground
from packshot.insertion.viewpoint import Viewpoint


@dataclass(frozen=True)
class Scene:
    """A crop of the background around the placement, with ground and light, in the crop's pixels."""

    background: Background
    crop: Box
    """In the background's pixels."""
    image: Colours
    ground: Ground
    light: Light
    placement: Placement
    seen: Viewpoint
    """How the place is seen, in the background's pixels."""
    front: Colours | None = None
    """The opacity of what stands before the product, [height, width] of the crop."""

    def ground_at(self, cut: CutOut | None, box: Box) -> Ground:
        """The ground at a cut-out's foot: seen no more steeply than its photo sees the product.

        As on the place's own ground, shade at the foot of what is shown from the front would climb
        up beside it.
        """
        if cut is None or cut.camera is None:
            return self.ground
        return self.ground.no_steeper(cut.camera.elevation, box.bottom)


@dataclass(frozen=True)
class Composite:
    """The crop with the product in it.

    Attributes:
        image: [height, width, 3].
        changed_mask: 1 where anything may have changed, [height, width].
        product: the product's colours before harmonization and stitching, the size of `box`.
        alpha: the product's opacity per pixel of `box`, 0 to 1.
        box: the product's box in the crop.
        shadow: shadow opacity per pixel, 0 to 1, [height, width].
        opacity: of product, shadow and reflection together: how much of the ground they hide,
            [height, width].
        cut: the cut-out that was composited; None if the product was inpainted.
        reflection: the opacity of its mirror image on the ground, [height, width]; None if it has none.
    """

    image: Colours
    changed_mask: Colours
    product: Colours
    alpha: Colours
    box: Box
    shadow: Colours
    opacity: Colours
    cut: CutOut | None
    reflection: Colours | None = None

    def behind(self, before: Colours, front: Colours | None) -> Composite:
        """This, with the background's own pixels before it where `front` [height, width] is opaque.

        Args:
            before: the crop without the product.
        """
        if front is None:
            return self
        seen = 1 - front
        share = seen[..., None]
        return replace(
            self,
            image=before * (1 - share) + self.image * share,
            changed_mask=self.changed_mask * (seen > 0),
            alpha=self.alpha * seen[self.box.region],
            shadow=self.shadow * seen,
            opacity=self.opacity * seen,
            reflection=None if self.reflection is None else self.reflection * seen,
        )
