import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packshot.errors import InsufficientMemoryError
from packshot.models import load_base
from packshot.models.checkpoint import detect_checkpoint
from packshot.plan import load_base as loading
from packshot.plan import make_plan, read_plan
from packshot.plan.load_base import load_project_base
from packshot.plan.memory_estimate import (
    MEMORY_OPTIONS,
    MemoryEstimate,
    MemoryOption,
    estimate_memory,
)
from packshot.project import create_project, save_choices
from packshot.settings import choices_of

CUDA = torch.device("cuda")


@pytest.fixture
def on_the_cpu(monkeypatch):
    """What is loaded comes here; with what it was asked for is returned."""
    asked = []

    def load(name, *, storage="full", dtype=None, progress=None):
        asked.append(storage)
        return load_base(name, device="cpu", dtype=dtype, storage=storage)

    monkeypatch.setattr(loading, "load_base", load)
    return asked


@pytest.fixture
def on_a_card(monkeypatch):
    """A GPU, as far as loading knows; what is loaded is returned, and nothing is."""
    asked = []
    monkeypatch.setattr(loading, "load_base", lambda name, **_: asked.append(name))
    monkeypatch.setattr(loading, "best_device", lambda: "cuda")
    monkeypatch.setattr(loading, "device_name", lambda device: "A card")
    monkeypatch.setattr(loading, "best_dtype", lambda *_: torch.bfloat16)
    monkeypatch.setattr(loading, "takes_half_files", lambda *_: True)
    return asked


@pytest.mark.slow
def test_a_base_is_stored_as_the_first_way_that_fits_the_gpu(tiny_base, tiny_sd1, monkeypatch):
    from packshot.plan.recipes import recipe_for

    checkpoint = detect_checkpoint(tiny_sd1)
    recipe = recipe_for("sd1", tiny_sd1)
    ways = estimate_memory(checkpoint, targets=recipe.target_modules, rank=recipe.rank).ways
    for way in ways:
        monkeypatch.setattr(loading, "free_on", lambda device, way=way: way.bytes)
        first = next(w for w in ways if w.bytes <= way.bytes)
        assert loading.choose_weight_storage(checkpoint, CUDA) == first.storage
    monkeypatch.setattr(loading, "free_on", lambda device: 1)
    assert loading.choose_weight_storage(checkpoint, CUDA) == "offload", "the most that can be done"
    assert loading.choose_weight_storage(checkpoint, torch.device("cpu")) == "full"


def test_a_gpu_that_is_too_small_is_said_before_anything_is_loaded(
    tmp_path, tiny_sd1, on_a_card, monkeypatch
):
    asked = []

    def estimate(checkpoint, *, pixels=None, **_):
        asked.append(pixels)
        size = 10**9 if pixels is None else 5 * 10**8
        ways = (MemoryOption("full", True, 2 * size, 0), MemoryOption("offload", True, size, 0))
        return MemoryEstimate(ways, 0, 0, pixels or 512)

    monkeypatch.setattr(loading, "estimate_memory", estimate)
    project = create_project(tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1))
    monkeypatch.setattr(loading, "free_on", lambda device: 10**6)
    words = r"of A card \(0\.0 GB free\) is not enough .* even offload on images of 256 px takes 0\.5 GB\."
    with pytest.raises(InsufficientMemoryError, match=words):
        load_project_base(project)
    assert not on_a_card and asked[-1] == 256
    for free in (10**9, 5 * 10**8):
        monkeypatch.setattr(loading, "free_on", lambda device, free=free: free)
        loading.refuse_hopeless(detect_checkpoint(tiny_sd1), CUDA)


_BYTES = st.integers(1, 100)
_WAYS = st.tuples(*[st.tuples(_BYTES, _BYTES)] * len(MEMORY_OPTIONS))


@given(native=_WAYS, small=_WAYS, free=_BYTES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_needed_it_is_stored_so_that_it_fits_or_refused(
    tiny_sd1, monkeypatch, native, small, free
):
    """Of (bytes of a step, bytes of the autoencoder) in each way, at both sizes of pictures."""

    def estimate(checkpoint, *, pixels=None, **_):
        ways = zip(MEMORY_OPTIONS, small if pixels else native, strict=True)
        options = (MemoryOption(*way, step, 0, vae) for way, (step, vae) in ways)
        return MemoryEstimate(tuple(options), 0, 0, pixels or 512)

    monkeypatch.setattr(loading, "estimate_memory", estimate)
    monkeypatch.setattr(loading, "free_on", lambda device: free)
    monkeypatch.setattr(loading, "device_name", lambda device: "A card")
    checkpoint = detect_checkpoint(tiny_sd1)
    fits = [max(way) <= free for way in native]
    if any(fits):
        loading.refuse_hopeless(checkpoint, CUDA)
        taken = loading.choose_weight_storage(checkpoint, CUDA)
        assert taken == MEMORY_OPTIONS[fits.index(True)][0]
    elif all(max(way) > free for way in small):
        with pytest.raises(InsufficientMemoryError, match="is not enough for training"):
            loading.refuse_hopeless(checkpoint, CUDA)
    else:
        loading.refuse_hopeless(checkpoint, CUDA)


def test_what_surely_fits_is_not_gone_through(tiny_sd1, monkeypatch):
    monkeypatch.setattr(loading, "free_on", lambda device: 2**40)
    monkeypatch.setattr(loading, "estimate_memory", None)
    assert loading.choose_weight_storage(detect_checkpoint(tiny_sd1), CUDA) == "full"
    loading.refuse_hopeless(detect_checkpoint(tiny_sd1), CUDA)


@pytest.mark.slow
def test_the_settings_decide_then_the_plan_then_the_gpu(
    tmp_path, tiny_sd1, ready_project, tiny_base, on_the_cpu, monkeypatch
):
    asked = create_project(
        tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1), weight_storage="nf4"
    )
    assert load_project_base(asked).weight_storage == "nf4"
    auto = create_project(tmp_path / "q", name="x", class_noun="car", base=str(tiny_sd1))
    monkeypatch.setattr(loading, "choose_weight_storage", lambda *given: "int8")
    assert load_project_base(auto).weight_storage == "int8"
    monkeypatch.setattr(loading, "choose_weight_storage", lambda *given: "offload")
    assert load_project_base(auto).weight_storage == "int8", (
        "as it was settled, whatever is free now"
    )


@pytest.mark.slow
def test_the_precision_is_as_it_was_settled(tmp_path, tiny_sd1, on_the_cpu, monkeypatch):
    project = create_project(tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1))
    monkeypatch.setattr(loading, "best_dtype", lambda *_: torch.bfloat16)
    assert load_project_base(project).dtype == torch.bfloat16
    monkeypatch.setattr(loading, "best_dtype", lambda *_: torch.float32)
    assert load_project_base(project).dtype == torch.bfloat16


def test_a_plan_that_makes_no_sense_stops_only_what_carries_it_out(
    ready_project, tiny_sd1, on_the_cpu
):
    save_choices(ready_project, choices_of(base=str(tiny_sd1)))
    ready_project.plan_file.write_text("steps = 0")
    assert load_project_base(ready_project).weight_storage == "full"


@pytest.mark.slow
def test_a_plan_remembers_how_the_base_lay(ready_project, tiny_sd1, on_the_cpu, monkeypatch):
    base = load_base(tiny_sd1, device="cpu", dtype=torch.float32, storage="nf4")
    make_plan(ready_project, base)
    settings = ready_project.settings_file.read_text()
    ready_project.settings_file.write_text(settings.replace('"unused"', f'"{tiny_sd1}"'))
    assert read_plan(ready_project.plan_file).weight_storage == "nf4"
    monkeypatch.setattr(loading, "choose_weight_storage", None)
    assert load_project_base(ready_project).weight_storage == "nf4"


@pytest.mark.slow
def test_the_plan_of_another_base_says_nothing_of_this_one(
    ready_project, tiny_sd1, on_the_cpu, monkeypatch, tmp_path
):
    """A plan in NF4 on one base, then another base: what fits that one is looked for."""
    monkeypatch.setattr(loading, "choose_weight_storage", lambda *given: "nf4")
    save_choices(ready_project, choices_of(base=str(tiny_sd1)))
    make_plan(ready_project, load_project_base(ready_project))
    assert read_plan(ready_project.plan_file).weight_storage == "nf4"
    shutil.copytree(tiny_sd1, tmp_path / "other")
    save_choices(ready_project, choices_of(base=str(tmp_path / "other")))
    monkeypatch.setattr(loading, "choose_weight_storage", lambda *given: "full")
    assert load_project_base(ready_project).weight_storage == "full"


def test_where_memory_gives_out_the_next_smaller_storage_is_taken_and_remembered(
    tmp_path, tiny_sd1, tiny_base, monkeypatch
):
    tried = []

    def load(name, *, storage="full", **options):
        tried.append(storage)
        if storage == "full":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tiny_base

    monkeypatch.setattr(loading, "load_base", load)
    monkeypatch.setattr(loading, "step_fits", lambda base: tried[-1] == "nf4")
    project = create_project(tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1))
    assert load_project_base(project) is tiny_base and tried == ["full", "int8", "nf4"]
    tried.clear()
    assert load_project_base(project) is tiny_base and tried == ["nf4"]
    assert "with int8 memory gave out" in project.decisions_file.read_text()


def test_a_storage_that_was_asked_for_and_does_not_fit_is_said(tmp_path, tiny_sd1, monkeypatch):
    def load(name, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loading, "load_base", load)
    project = create_project(
        tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1), weight_storage="int8"
    )
    with pytest.raises(InsufficientMemoryError, match=r"does not hold .* \(int8\). Close other"):
        load_project_base(project)


def test_a_start_that_is_killed_while_a_storage_is_tried_tries_it_again(
    tmp_path, tiny_sd1, tiny_base, on_a_card, monkeypatch
):
    monkeypatch.setattr(loading, "load_base", lambda name, **options: tiny_base)
    monkeypatch.setattr(loading, "choose_weight_storage", lambda *given: "full")
    monkeypatch.setattr(loading, "refuse_hopeless", lambda *given: None)
    tried = []

    def killed(base):
        tried.append("killed")
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "step_fits", killed)
    project = create_project(tmp_path / "p", name="x", class_noun="car", base=str(tiny_sd1))
    with pytest.raises(KeyboardInterrupt):
        load_project_base(project)
    monkeypatch.setattr(loading, "step_fits", lambda base: tried.append("whole") or True)
    for _ in range(2):
        load_project_base(project)
    assert tried == ["killed", "whole"], "once it is settled it is not tried again"
