"""A step whose numbers are not finite."""

import pytest
from safetensors.torch import load_file

from packshot.errors import TrainingDivergedError
from packshot.training import step as training_step
from packshot.training import train
from tests.projects import edit


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(
    planned_project, tiny_base, monkeypatch, bad
):
    edit(planned_project, save_every_n_steps=1)
    real, calls = training_step.per_image_loss, []

    def poisoned(*args):
        calls.append(1)
        return real(*args) * (bad if len(calls) == 3 else 1.0)

    monkeypatch.setattr(training_step, "per_image_loss", poisoned)
    with pytest.raises(TrainingDivergedError, match=r"not finite at step \d+ \(images: .*\.png"):
        list(train(planned_project, tiny_base))
    monkeypatch.undo()
    checkpoint = sorted(planned_project.runs()[-1].glob("checkpoints/*/adapter.safetensors"))
    assert all(t.isfinite().all() for file in checkpoint for t in load_file(file).values())
