"""What is asked of all families together."""

from types import SimpleNamespace

import pytest

from packshot.models import registry


def spec(title, root="unet", learns=False, relatives=()):
    return SimpleNamespace(
        title=title, denoiser_root=root, learns_text=learns, relatives=relatives,
        denoiser_class=f"{title}Denoiser", vae_class="AutoencoderKL",
    )  # fmt: skip


@pytest.fixture
def three(monkeypatch):
    relative = SimpleNamespace(title="C video")
    known = {
        "a": spec("A", learns=True),
        "b": spec("B"),
        "c": spec("C", "transformer", False, (relative,)),
    }
    monkeypatch.setattr(registry, "families", lambda: known)


def test_titles_are_listed_as_sentences_have_them(three):
    assert registry.titles() == "A, B and C"
    assert registry.titles("unet") == "A and B"
    assert (
        registry.titles("transformer") == registry.titles("transformer", learns_text=False) == "C"
    )
    assert registry.titles(learns_text=True) == "A"


def test_families_are_candidates_before_what_looks_like_them(three):
    assert [called for called, _ in registry.candidates()] == ["a", "b", "c", "C video"]


def test_no_other_classes_are_made_than_families_name(three):
    assert registry.diffusers_classes() == {"ADenoiser", "BDenoiser", "CDenoiser", "AutoencoderKL"}


def test_every_name_is_of_one_family():
    families = registry.families()
    assert all(name == spec.name for name, spec in families.items())
    assert len({spec.title for spec in families.values()}) == len(families) == 8
    assert len({spec.signature for spec in families.values()}) == 8
