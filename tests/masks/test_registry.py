"""Segmenters by name: what is found, what is best, what other packages offer."""

from __future__ import annotations

import sys

import pytest

from packshot.errors import ModelLoadError, PackshotError
from packshot.masks import registry
from packshot.masks.bundled import BundledSegmenter
from packshot.masks.onnx_segmenter import OnnxSegmenter
from packshot.masks.registry import load_segmenter
from packshot.masks.sam import SamSegmenter
from tests.masks.tiny_segmenters import PICTURE, summing


@pytest.fixture
def rembg(tmp_path, monkeypatch):
    """rembg's folder with its smallest model."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2net"))
    return summing(tmp_path / "u2net" / "u2netp.onnx", PICTURE, [0.2, 0.3, 0.5]).parent


def test_where_nothing_is_installed_it_is_the_bundled_one():
    assert isinstance(load_segmenter(), BundledSegmenter)
    assert isinstance(load_segmenter("bundled"), BundledSegmenter)


def test_what_rembg_has_downloaded_is_better_than_the_bundled_one(rembg, monkeypatch, tiny_sam2):
    monkeypatch.setattr("packshot.masks.sam.cached", lambda: str(tiny_sam2))
    assert load_segmenter().name == "u2netp"
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert load_segmenter().name == "sam2-tiny", "without onnxruntime it is not run"
    monkeypatch.setattr("packshot.masks.sam.cached", lambda: None)
    assert load_segmenter().name == "bundled"
    assert load_segmenter("bundled").name == "bundled"


def test_a_model_tells_what_it_is_for(tmp_path, rembg, tiny_sam2):
    onnx = summing(tmp_path / "isnet.onnx", PICTURE, [0.2, 0.3, 0.5])
    found = load_segmenter(model=str(onnx))
    assert isinstance(found, OnnxSegmenter) and found.kind == "isnet"
    assert isinstance(load_segmenter(model=str(tiny_sam2)), SamSegmenter)
    assert load_segmenter("birefnet", str(onnx)).kind == "birefnet"
    kinds = [
        registry.kind_of(name)
        for name in ("facebook/sam2.1-hiera-tiny", "onnx-community/BiRefNet-ONNX", "gone/sam.onnx")
    ]
    assert kinds == ["sam2", "onnx", "onnx"]


def test_a_broken_model_is_told_and_not_passed_over(rembg):
    (rembg / "u2net.onnx").write_bytes(b"<html>404</html>")
    with pytest.raises(ModelLoadError, match=r"u2net\.onnx is not an ONNX model"):
        load_segmenter()


def test_names_that_are_none():
    with pytest.raises(
        PackshotError, match="no segmenter 'magic'; choose of auto, bundled, onnx, "
    ):
        load_segmenter("magic")


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """Installs a package that offers segmenters; says how often it was imported."""
    site = tmp_path / "site"
    (site / "theirs-1.0.dist-info").mkdir(parents=True)
    (site / "theirs-1.0.dist-info" / "METADATA").write_text("Name: theirs\nVersion: 1.0\n")
    (site / "theirs-1.0.dist-info" / "entry_points.txt").write_text(
        "[packshot.segmenters]\nedges = theirs:load\nlost = theirs:nothing\nbundled = theirs:load\n"
    )
    (site / "theirs.py").write_text(
        "class Edges:\n    name = 'edges'\n    def mask(self, picture): return picture.convert('L')\n"
        "def load(model, progress):\n    made = Edges()\n    made.model = model\n    return made\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("theirs", None)


def test_what_another_package_offers(other_package):
    found = load_segmenter("edges", "model.bin")
    assert (found.name, found.model) == ("edges", "model.bin")
    assert isinstance(load_segmenter("bundled"), BundledSegmenter), "ours cannot be replaced"
    with pytest.raises(
        PackshotError, match=r"segmenter 'lost' \(theirs:nothing\) cannot be loaded"
    ):
        load_segmenter("lost")
    with pytest.raises(PackshotError, match=r"u2net, sam2, edges, lost\.$"):
        load_segmenter("magic")
