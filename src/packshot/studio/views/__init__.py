"""The views: a module each, with its routes; and the steps of a project, in the order of the path."""

from packshot.studio.views import (
    catalogue,
    choose,
    class_images,
    deliver,
    insert,
    photos,
    pictures,
    plan,
    preferences,
    projects,
    queue,
    shoot,
    tour,
    train,
)
from packshot.studio.views.steps import Step

__all__ = ["ROUTES", "STEPS", "Step"]

STEPS: tuple[Step, ...] = (
    photos.STEP,
    class_images.STEP,
    plan.STEP,
    train.STEP,
    choose.STEP,
    shoot.STEP,
    insert.STEP,
    deliver.STEP,
)

ROUTES = [
    *projects.ROUTES,
    *catalogue.ROUTES,
    *queue.ROUTES,
    *preferences.ROUTES,
    *pictures.ROUTES,
    *photos.ROUTES,
    *class_images.ROUTES,
    *plan.ROUTES,
    *train.ROUTES,
    *choose.ROUTES,
    *shoot.ROUTES,
    *insert.ROUTES,
    *deliver.ROUTES,
    *tour.ROUTES,
]
