"""What TensorBoard is shown, read back by its own reader."""

import pytest
from PIL import Image

from packshot.training.events import Sample, Step, Stopped
from packshot.training.tensorboard import logged


@pytest.fixture
def read_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read():
        found = EventAccumulator(str(tmp_path / "board"))
        found.Reload()
        return found

    return read


def test_events_pass_through_and_are_written(tmp_path, read_back):
    import io

    Image.new("RGBA", (8, 6), (255, 0, 0, 255)).save(tmp_path / "a.png")
    events = [
        Step(1, 2, 0.5, 0.75, None, 1e-4, 1.0), Sample(1, ("a car",), (tmp_path / "a.png",)),
        Step(2, 2, 0.25, None, 0.5, 2e-4, 1.0), Stopped(2),
    ]  # fmt: skip
    assert list(logged(iter(events), tmp_path / "board")) == events
    found = read_back()
    told = {
        name: [(one.step, one.value) for one in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }
    assert told == {
        "loss": [(1, 0.5), (2, 0.25)], "instance_loss": [(1, 0.75)], "class_loss": [(2, 0.5)],
        "learning_rate": [(1, pytest.approx(1e-4)), (2, pytest.approx(2e-4))],
    }  # fmt: skip
    (shown,) = found.Images("a car")
    picture = Image.open(io.BytesIO(shown.encoded_image_string))
    assert picture.size == (8, 6) and picture.getpixel((3, 3)) == (255, 0, 0) and shown.step == 1


def test_what_was_told_before_an_error_is_there(tmp_path, read_back):
    def events():
        yield Step(1, 2, 0.5, None, None, 1e-4, 1.0)
        raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        list(logged(events(), tmp_path / "board"))
    assert [one.step for one in read_back().Scalars("loss")] == [1]
