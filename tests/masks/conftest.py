"""Fixtures for segmenters, and none of the user's own models."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from onnx import numpy_helper

from tests.masks.tiny_segmenters import (
    node,
    sam2_config,
    sam_config,
    save_apart,
    save_onnx,
    save_sam,
)


@pytest.fixture(autouse=True)
def no_models_of_the_users(tmp_path, monkeypatch):
    """No test finds segmenters that happen to be installed."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "no-models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no-hub"))


@pytest.fixture
def random_unet(tmp_path):
    """A small encoder and decoder with random weights and U2-Net's conventions: seven maps, sigmoids."""
    rng = np.random.default_rng(0)

    def array(name, *shape):
        values = rng.normal(0, 0.5, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    nodes = [
        node("Conv", "input.1", "a", to="h1", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        node("Relu", "h1", to="h2"),
        node("Resize", "h2", "", "scales", to="h3", mode="linear"),
        node("Conv", "h3", "b", to="logits", kernel_shape=[3, 3], pads=[1] * 4),
        *(node("Sigmoid", "logits", to=f"d{index}") for index in range(7)),
    ]
    weights = [
        array("a", 8, 3, 3, 3), array("b", 1, 8, 3, 3),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]  # fmt: skip
    return save_onnx(
        tmp_path / "u2netp.onnx", nodes, {"input.1": [1, 3, 320, 320]},
        {f"d{index}": [1, 1, 320, 320] for index in range(7)}, weights,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory):
    from transformers import Sam2Model

    return save_sam(Sam2Model, sam2_config(), tmp_path_factory.mktemp("sam") / "sam2-tiny")


@pytest.fixture(scope="session")
def tiny_sam(tmp_path_factory):
    from transformers import SamModel

    return save_sam(SamModel, sam_config(), tmp_path_factory.mktemp("sam") / "sam-tiny")


@pytest.fixture
def big_onnx(tmp_path):
    return partial(save_apart, tmp_path / "apart")
