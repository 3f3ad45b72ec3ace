"""The views: a module each, with its routes; and the steps of a project, in the order of the path."""

from packshot.studio.views import (
    class_images,
    photos,
    pictures,
    plan,
    preferences,
    projects,
    queue,
    train,
)
from packshot.studio.views.steps import Step

__all__ = ["ROUTES", "STEPS", "Step"]

STEPS: tuple[Step, ...] = (photos.STEP, class_images.STEP, plan.STEP, train.STEP)

ROUTES = [
    *projects.ROUTES,
    *queue.ROUTES,
    *preferences.ROUTES,
    *pictures.ROUTES,
    *photos.ROUTES,
    *class_images.ROUTES,
    *plan.ROUTES,
    *train.ROUTES,
]
