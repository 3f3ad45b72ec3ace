"""The recipe of the bundled base: exact resume, exact fold, a folder that diffusers loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_stages import (
    CLIP,
    IDENTITY,
    LOOP,
    NAMES,
    RUNS,
    SEGMENTER,
    SHOTS,
    UNET,
    VAE,
    caption,
    make_backgrounds,
    make_shots,
    make_world,
    run_unet,
    run_vae,
)
from transformers import CLIPConfig, CLIPModel

from packshot.errors import PackshotError, TrainingDivergedError
from packshot.insertion.lighting import LightEstimator
from packshot.masks import bundled, refiner, regions
from packshot.masks.shot_network import ShotNetwork
from packshot.weights.tokenizers import clip_tokenizer
from packshot_pocket.pretrain import (
    begin,
    clip,
    data,
    export,
    latents,
    light,
    loop,
    mask_refiner,
    segmenter,
    shot_segmenter,
    trigger_words,
    vae,
)
from packshot_pocket.pretrain.loop import Budget
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper
from packshot_pocket.pretrain.shots import spoiling
from packshot_pocket.pretrain.shots.bank import make_bank
from packshot_pocket.pretrain.shots.pool import Pool
from packshot_pocket.pretrain.shots.scenes import draw_car_shot
from packshot_pocket.pretrain.shots.spoiling import spoilt

pytestmark = pytest.mark.slow


def test_gathering_holds_out_the_last_scenes(trained: Path) -> None:
    packed = data.open_packed(trained)
    assert packed.pixels.shape == (10, 128, 128, 3)
    assert packed.held_out.tolist() == [8, 9]
    assert packed.attributes[2]["colour"] == "blue"
    assert packed.pixels[0][60, 60].tolist() == [255, 0, 0]


def test_gathering_says_that_the_world_is_empty(tmp_path: Path) -> None:
    with pytest.raises(PackshotError, match="No finished scene"):
        data.gather([tmp_path], tmp_path)


def test_stages_say_which_stage_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PackshotError, match="run the stage 'gather' first"):
        data.open_packed(tmp_path)
    with pytest.raises(PackshotError, match="run the stage 'latents' first"):
        latents.open_latents(tmp_path)
    with pytest.raises(PackshotError, match="'vae' has not run"):
        vae.load_vae(tmp_path, VAE)


@pytest.mark.parametrize("stage", list(RUNS))
def test_resume_is_bit_identical(stage: str, trained: Path, tmp_path: Path) -> None:
    for needed in trained.iterdir():
        if needed.is_file() and needed.stem != stage:
            (tmp_path / needed.name).symlink_to(needed)
    if stage == "vae":
        for derived in ("latents.npy", "statistics.safetensors"):
            (tmp_path / derived).unlink()
    RUNS[stage](tmp_path, Budget(stop_at_step=2))
    assert json.loads((tmp_path / f"{stage}.json").read_text())["at"]["step"] == 2
    RUNS[stage](tmp_path, Budget())
    resumed = load_file(tmp_path / f"{stage}.safetensors")
    whole = load_file(trained / f"{stage}.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_name_moves_what_follows_it_and_nothing_before() -> None:
    plain, vector = torch.arange(6.0)[:, None].expand(6, 2), torch.tensor([10.0, 20.0])
    told = trigger_words.moved(plain, 2, 2, vector)
    assert told[:, 0].tolist() == [0, 1, 11, 11, 12, 13]
    assert (told[2:, 1] - told[2:, 0]).eq(10).all()
    rng = np.random.default_rng(0)
    text, place = trigger_words.with_name("a photo of a suv", "qzv", rng)
    assert text.split()[place] == "qzv" and text.replace("qzv ", "") == "a photo of a suv"


def test_a_former_text_tower_is_kept(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "next"
    make_world(tmp_path / "world")
    data.gather([tmp_path / "world"], folder)
    clip.train_clip(folder, replace(CLIP, kept_weight=100.0), Budget(), caption, former=trained)
    kept = clip.KeptTower(trained, CLIP, torch.device("cpu"))
    tokens = clip_tokenizer()(["a photo of a red suv"], return_tensors="pt").input_ids
    facts = [{"class": "plain"}]
    near = kept.error(clip.load_clip_stage(folder, CLIP).text_model, tokens, facts)
    far = kept.error(clip.new_clip(CLIP).text_model, tokens, facts)
    assert 0 < near < 0.1 * far
    assert kept.error(clip.new_clip(CLIP).text_model, tokens, [{"class": "never seen"}]) == 0


def test_the_text_tower_learns_to_hear_names(tmp_path: Path, trained: Path) -> None:
    for needed in trained.glob("*.*"):
        if needed.stem != "names":
            (tmp_path / needed.name).symlink_to(needed)
    facts = [{"colour": "red", "noun": "suv"}]
    tower = clip.load_clip_stage(trained, CLIP).text_model
    batches = trigger_words.NamedCaptions(facts, tower, caption, push=3.0)
    tokens, wanted = batches(2, np.random.default_rng(0))
    assert tokens.shape == (4, 77) and wanted.shape == (4, 77, 16)
    assert batches.vector("ohwx").norm().item() == pytest.approx(3.0)
    quick = OptimizerConfig(learning_rate=1e-2)
    config = replace(NAMES, push=3.0, loop=replace(LOOP, steps=150, batch=4), optimizer=quick)
    before = trigger_words.train_names(tmp_path, config, CLIP, Budget(stop_at_step=0), caption)
    after = trigger_words.train_names(tmp_path, config, CLIP, Budget(), caption)
    assert after["error with one"] < 0.95 * before["error with one"]


def test_the_light_is_learnt(tmp_path: Path) -> None:
    """From grounds that are brighter on the light's side: 315 degrees is right, 225 left."""
    config = light.LightConfig(
        loop=replace(LOOP, steps=80, batch=8), drawn=4, held_out=4, photograph_fraction=0.0,
        rendered_fraction=1.0,
    )  # fmt: skip
    backgrounds = make_backgrounds(tmp_path / "backgrounds", scenes=12)
    light.train_light(tmp_path, backgrounds, config, Budget())
    estimator = LightEstimator(light.state.weights(tmp_path, "light"))
    for scene, azimuth in ((0, 315), (1, 225)):
        shown = np.asarray(Image.open(backgrounds / f"{scene}.png"), np.float32) / 255
        told = estimator.estimate(shown)
        assert abs(told.azimuth_degrees - azimuth) < 25
        assert told.confidence > 0.5


def test_the_loss_of_light_is_least_where_the_truth_is_said() -> None:
    direction = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])  # from behind; from nowhere
    batch = light.Batch(
        torch.zeros(2, 3, 96, 96), direction, torch.tensor([1.0, 0.0]), -torch.ones(2, 2, 48, 48)
    )

    def loss(*sectors: int) -> float:
        said = torch.zeros(2, 39)
        said[0, list(sectors[:2])] = 5.0
        said[1, sectors[2]] = 5.0
        return float(light.light_loss(light.Said(said, torch.zeros(2, 2, 48, 48)), batch))

    assert loss(8, 9, 36) < loss(8, 11, 36) < loss(26, 27, 36)
    assert loss(8, 9, 36) < loss(8, 9, 20) and loss(8, 9, 36) < loss(8, 36, 36)


def test_batches_of_light_are_used_twice_the_second_time_mirrored() -> None:
    config = light.LightConfig(loop=LOOP, photograph_fraction=0.0)
    batches = light.LightBatches(light.draw("train", 2, 0, side=32), None, config)
    first, second = batches(2), batches(3)
    assert torch.equal(second.pictures, first.pictures.flip(3))
    assert torch.equal(second.ground, first.ground.flip(3))
    assert torch.equal(second.directions[:, 0], -first.directions[:, 0])
    assert torch.equal(second.directions[:, 1:], first.directions[:, 1:])
    assert not torch.equal(batches(4).pictures, first.pictures)
    ground, shade = first.ground[:, 0], first.ground[:, 1]
    assert ((shade <= ground + 1e-5) & (ground <= 1)).all()


def test_confidence_is_calibrated_by_a_temperature_of_the_direction_alone(trained: Path) -> None:
    plain, scaled = light.state.weights(trained, "light"), light.calibrated_weights(trained)
    assert all(torch.equal(plain[n], scaled[n]) for n in plain if not n.startswith("out."))
    ratio = plain["out.weight"] / scaled["out.weight"]
    assert torch.allclose(ratio[:37], ratio[0, 0], rtol=1e-3)
    assert torch.allclose(ratio[37:], torch.ones(()))
    sure = torch.tensor([[[4.0, 0.0]]]).expand(8, 1, 2)
    truth = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    best = min((1.0, 2.0, 4.0 / np.log(3), 8.0), key=lambda t: light._surprise(sure / t, truth))
    assert best == 4.0 / np.log(3), "right in 6 of 8: odds of 3"


def test_the_segmenter_learns_boxes_and_disguises_keep_masks_true(
    trained: Path, tmp_path: Path
) -> None:
    pictures, masks = data.open_packed(trained), data.open_masks(trained)
    config = segmenter.SegmenterConfig(widths=(8, 16, 16), generic_count=20, moved_fraction=1.0)
    views, wanted = segmenter.SegmenterBatches(pictures, masks, config)(0)
    assert views.shape == (24, 3, 128, 128) and wanted.shape == (24, 1, 128, 128)
    assert views.abs().max() <= 1 and 0.02 < float(wanted.mean()) < 0.8
    for name in ("pictures.npy", "masks.npy", "attributes.jsonl"):
        (tmp_path / name).symlink_to(trained / name)
    config = replace(config, loop=loop.LoopConfig(steps=40, batch=8, warmup_steps=2))
    report = segmenter.train_segmenter(tmp_path, config, Budget())
    assert report["overlap"] > 0.6


def test_shots_teach_boxes(tmp_path: Path) -> None:
    make_shots(tmp_path / "shots", 40)
    config = shot_segmenter.ShotSegmenterConfig(
        widths=(8, 16, 16), loop=loop.LoopConfig(steps=60, batch=8, warmup_steps=2),
        shots=40, first_shots=36, sides=((0, 64),), judged=4,
    )  # fmt: skip
    assert shot_segmenter.train_shot_segmenter(tmp_path, config, Budget())["overlap"] > 0.6


def test_disguises_of_shots_keep_masks_true_and_more_join(tmp_path: Path) -> None:
    make_shots(tmp_path / "shots", 20)
    config = shot_segmenter.ShotSegmenterConfig(
        loop=loop.LoopConfig(steps=9, batch=64), shots=20, first_shots=3, shots_per_step=4,
        sides=((0, 64), (3, 128)), judged=2,
    )  # fmt: skip
    pool = Pool.of_shots(tmp_path / "shots", 20, 0)
    batches = shot_segmenter.ShotBatches(pool, config)
    views, wanted = batches(0)
    assert views.shape == (64, 3, 64, 64) and wanted.shape == (64, 1, 64, 64)
    assert batches(3)[0].shape == (64, 3, 128, 128)
    assert torch.equal(batches(3)[0], batches(3)[0])
    darker = [
        float(v[:, w[0] > 0.9].mean() - v[:, w[0] < 0.1].mean())
        for v, w in zip(views, wanted, strict=True)
    ]
    assert max(darker) < 0, "the boxes are darker than their ground, whatever the disguise"
    seen: list[int] = []
    monkey = type(
        "Counted", (), {"count": 20, "__getitem__": lambda _, n: seen.append(n) or pool[n]}
    )()
    for step, most in ((0, 3), (2, 11), (8, 18)):
        seen.clear()
        shot_segmenter.ShotBatches(monkey, config)(step)
        assert set(seen) == set(range(most))


def test_spoilt_masks_are_repeatable_and_of_the_same_thing(tmp_path: Path) -> None:
    make_shots(tmp_path / "shots", 20)
    pool = Pool.of_shots(tmp_path / "shots", 20, 0)
    overlaps = []
    for number in range(20):
        picture = np.ascontiguousarray(pool[number][..., :3])
        mask = pool[number][..., 3] > 127
        wrong = spoilt(picture, mask, np.random.default_rng(number))
        assert np.array_equal(wrong, spoilt(picture, mask, np.random.default_rng(number)))
        overlaps.append(regions.overlap(wrong, mask))
    assert 0.3 <= min(overlaps) < 0.8
    assert len(set(overlaps)) > 10


def test_a_refiner_is_shown_the_product_with_a_wrong_mask(tmp_path: Path) -> None:
    make_shots(tmp_path / "shots", 20)
    config = mask_refiner.MaskRefinerConfig(
        loop=loop.LoopConfig(steps=9, batch=16), sides=((0, 64), (3, 128)), judged=2
    )
    batches = mask_refiner.SpoiltBatches(Pool.of_shots(tmp_path / "shots", 20, 0), config)
    seen, wanted = batches(0)
    assert seen.shape == (16, 4, 64, 64) and wanted.shape == (16, 1, 64, 64)
    assert batches(3)[0].shape == (16, 4, 128, 128)
    assert torch.equal(batches(3)[0], batches(3)[0])
    shares = seen[:, 3:] / 2 + 0.5
    assert 0.4 < segmenter.overlap(shares, wanted) < 0.98
    for view, truth in zip(seen, wanted, strict=True):
        inside = truth[0] > 0.9
        assert inside.any(), "the product is in the part that is shown"
        if (~inside).any():
            assert view[:3, inside].mean() < view[:3, truth[0] < 0.1].mean(), "boxes are darker"
    pictures, masks = batches.held_out()
    assert pictures.shape == (2, 192, 192, 4) and masks.shape == (2, 192, 192)
    with pytest.raises(PackshotError, match="20 shots are too few: 20 of them are held out"):
        mask_refiner.SpoiltBatches(batches.pool, replace(config, judged=20))


def test_what_mends_cars_goes_on_from_what_mends_anything(tmp_path: Path) -> None:
    """It learns from cars alone: there are no shots of things."""
    begin.begin(Path(bundled.__file__).parent / "weights", tmp_path)
    make_shots(tmp_path / "shots", 6)
    (tmp_path / "shots" / "shots-000.npy").unlink()
    config = mask_refiner.MaskRefinerConfig(
        loop=loop.LoopConfig(steps=1, batch=1), shots=6, sides=((0, 32),), judged=1
    )
    config = replace(config, optimizer=replace(config.optimizer, learning_rate=0.0))
    mask_refiner.train_car_refiner(tmp_path, config, loop.Budget())
    before = mask_refiner.load_mask_refiner(tmp_path, config).state_dict()
    after = mask_refiner.load_mask_refiner(tmp_path, config, "car_refiner").state_dict()
    for name, value in before.items():
        if "running" not in name and "batches" not in name:
            torch.testing.assert_close(after[name], value, rtol=0, atol=0.01)
    assert not (tmp_path / "shots" / "shots-000.npy").exists()


def test_a_refiner_goes_on_from_the_bundled_weights(tmp_path: Path) -> None:
    weights = Path(bundled.__file__).parent / "weights"
    begin.begin(weights, tmp_path)
    found = loop.state.load(tmp_path, "mask_refiner")
    assert found is not None
    counters = found[1]
    config = mask_refiner.MaskRefinerConfig()
    assert counters["at"]["step"] == config.sides[-1][0], (
        "where it sees products at their full size"
    )
    shipped = load_file(weights / begin.REFINER)
    kept = mask_refiner.load_mask_refiner(tmp_path, config).state_dict()
    for name, value in kept.items():
        torch.testing.assert_close(value, shipped[name].float())
    with pytest.raises(PackshotError, match="has a checkpoint of 'mask_refiner'"):
        begin.begin(weights, tmp_path)


def test_the_bundled_network_of_cars_takes_the_shade_below_them_away() -> None:
    """Of drawn cars that it has not seen, by masks with their shade: as bad ones as real photos give."""
    plain = bundled.BundledSegmenter()
    networks = plain._refiner, plain.for_class("suv")._refiner
    bank, before, after = make_bank(4242), [], []
    for number in range(12):
        picture, mask = draw_car_shot(bank, (4242, 0, number))
        right = mask > 127
        size = float(np.sqrt(right.sum()))
        wrong = spoiling._with_shade(picture, right, size, np.random.default_rng(number))
        before.append(regions.overlap(wrong, right))
        shares = [refiner.refine(each, picture, wrong) > 0.5 for each in networks]
        after.append([regions.overlap(each, right) for each in shares])
    by_anything, by_cars = np.mean(after, axis=0)
    assert np.mean(before) < 0.85
    assert by_cars > 0.96 and 1 - by_cars < 0.8 * (1 - by_anything)


@torch.no_grad()
def test_a_refiner_begins_with_what_the_segmenter_says() -> None:
    former, network = ShotNetwork((8, 16)), ShotNetwork((8, 16), mask_refiner.PLANES)
    mask_refiner.begin_from(network, former)
    pictures, masks = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(network(torch.cat([pictures, masks], dim=1)), former(pictures))


def test_overlap_is_intersection_over_union() -> None:
    ours, theirs = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    ours[..., :2, :], theirs[..., 1:3, :] = 1, 1
    assert segmenter.overlap(ours, theirs) == pytest.approx(1 / 3)


def test_fold_is_exact() -> None:
    autoencoder = vae.new_vae(VAE).double().eval()
    pictures = torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1
    before = autoencoder.encode(pictures).latent_dist
    decoded = autoencoder.decode(before.mean).sample
    mean = torch.tensor([0.3, -2.0, 0.0, 5.0], dtype=torch.float64)
    deviation = torch.tensor([0.5, 3.0, 1.0, 20.0], dtype=torch.float64)
    vae.fold_statistics(autoencoder, mean, deviation)
    after = autoencoder.encode(pictures).latent_dist
    shape = (1, 4, 1, 1)
    expected = (before.mean - mean.view(shape)) / deviation.view(shape)
    torch.testing.assert_close(after.mean, expected)
    torch.testing.assert_close(after.std, before.std / deviation.view(shape))
    torch.testing.assert_close(autoencoder.decode(after.mean).sample, decoded)


def test_latents_have_zero_mean_and_unit_variance(trained: Path) -> None:
    values = latents.open_latents(trained)
    training = values[data.open_packed(trained).training].astype(np.float32)
    assert values.shape == (20, 4, 16, 16)
    np.testing.assert_allclose(training.mean(axis=(0, 2, 3)), 0, atol=2e-3)
    np.testing.assert_allclose(training.std(axis=(0, 2, 3)), 1, atol=5e-3)


def test_latents_older_than_the_autoencoder_are_refused(trained: Path, tmp_path: Path) -> None:
    for needed in trained.glob("*.*"):
        shutil.copy(needed, tmp_path)
    (tmp_path / "vae.safetensors").unlink()
    run_vae(tmp_path, Budget(stop_at_step=1))
    with pytest.raises(PackshotError, match="Run the stage 'latents' again"):
        latents.folded_vae(tmp_path, VAE)


def test_export_loads_and_generates(trained: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline

    export.export(trained, tmp_path, CLIP, VAE, UNET, SEGMENTER, SHOTS, IDENTITY)
    pipeline = StableDiffusionPipeline.from_pretrained(
        tmp_path, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a photo of a red suv", num_inference_steps=2).images[0]
    assert image.size == (128, 128)
    saved = load_file(tmp_path / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in saved)
    assert {value.dtype for value in saved.values()} <= {torch.float16, torch.int64}
    own = clip.load_named_clip(trained, CLIP).text_model.state_dict()
    loaded = pipeline.text_encoder.state_dict()
    for name, value in own.items():
        torch.testing.assert_close(loaded[name].float(), value, atol=1e-3, rtol=1e-3)
    assert {"vocab.json", "merges.txt"} <= {p.name for p in (tmp_path / "tokenizer").iterdir()}


def exported_clip(base: Path) -> CLIPModel:
    """Both towers of an exported folder in fp32: `base`/clip joined with `base`/text_encoder."""
    model = CLIPModel(CLIPConfig.from_dict(json.loads((base / "clip/config.json").read_text())))
    tensors = load_file(base / "clip/model.safetensors")
    tensors |= load_file(base / "text_encoder/model.safetensors")
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
    return model.eval()


def test_exported_clip_measures_as_the_trained_one(trained: Path, tmp_path: Path) -> None:
    export.export(trained, tmp_path, CLIP, VAE, UNET, SEGMENTER, SHOTS, IDENTITY)
    tokens = clip_tokenizer()(["a red suv", "a blue suv"], return_tensors="pt").input_ids
    pictures = data.to_tensor(data.open_packed(trained).pixels[:2])
    with torch.no_grad():
        for tower, given in ((clip.embed_images, pictures), (clip.embed_tokens, tokens)):
            whole = tower(clip.load_named_clip(trained, CLIP), given)
            torch.testing.assert_close(
                tower(exported_clip(tmp_path), given), whole, atol=3e-3, rtol=0
            )


def test_tokenizer_gives_clips_ids() -> None:
    tokenizer = clip_tokenizer()
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    padded = tokenizer("a cat", padding="max_length", truncation=True).input_ids
    assert len(padded) == 77
    assert set(padded[4:]) == {49407}
    assert len(tokenizer) == 49408


def test_near_identity_start_keeps_more_of_the_picture() -> None:
    torch.set_num_threads(1)
    convolution = torch.nn.Conv2d(8, 8, 3, stride=2)
    torch.nn.init.zeros_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)
    orders = vae._haar(convolution, [0.0], finest=4.0)
    cell = torch.nn.functional.pad(torch.rand(1, 1, 2, 2), (0, 1, 0, 1))
    bands = convolution(torch.cat([cell, torch.zeros(1, 7, 3, 3)], dim=1)).flatten()
    assert orders == [0.0, 4.0, 4.0, 8.0]
    torch.testing.assert_close(bands[0], cell[..., :2, :2].mean())
    torch.testing.assert_close(bands[1] * 2, (cell[0, 0, :2, 0] - cell[0, 0, :2, 1]).sum())


def test_equal_captions_share_the_target() -> None:
    vectors = torch.nn.functional.normalize(torch.eye(3)[[0, 0, 1]], dim=-1)
    same = clip.same_captions(["a", "a", "b"])
    assert same.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    loss = clip.contrastive_loss(vectors, vectors, torch.tensor(50.0), same)
    assert loss < clip.contrastive_loss(vectors, vectors, torch.tensor(50.0), torch.eye(3)) + 1e-6
    torch.testing.assert_close(loss, torch.tensor(2 / 3 * np.log(2)).float())


def test_each_epoch_sees_every_item_once() -> None:
    seen = np.concatenate([loop.batch_indices(6, 4, step, seed=1) for step in range(3)])
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))


def test_a_loss_that_is_not_finite_stops_before_the_weights(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    stepper = Stepper(module, OptimizerConfig())
    before = module.weight.detach().clone()
    run = loop.Loop(
        "odd", tmp_path, stepper, LOOP, lambda step: module.weight.sum() * float("nan"), dict
    )
    with pytest.raises(TrainingDivergedError, match="Stage 'odd', step 0"):
        run.run(Budget())
    assert torch.equal(module.weight, before)


def test_finish_lowers_the_learning_rate_within_the_time(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    config = replace(LOOP, steps=10**9)
    run = loop.Loop(
        "short", tmp_path, Stepper(module, OptimizerConfig()), config,
        lambda step: module.weight.square().sum(), dict,
    )  # fmt: skip
    run.run(Budget(seconds=0.2, finish=True))
    assert run.at.decay_from < run.at.step == run.at.steps


def test_an_exported_base_begins_a_state_that_exports_the_same(
    trained: Path, tmp_path: Path
) -> None:
    export.export(trained, tmp_path / "base", CLIP, VAE, UNET, SEGMENTER, SHOTS, IDENTITY)
    begin.begin(tmp_path / "base", tmp_path / "state")
    with pytest.raises(PackshotError, match="has a checkpoint of 'vae'"):
        begin.begin(tmp_path / "base", tmp_path / "state")
    told, kept = (
        clip.load_named_clip(folder, CLIP).state_dict() for folder in (trained, tmp_path / "state")
    )
    for name, value in told.items():
        torch.testing.assert_close(kept[name].float(), value.float(), atol=1e-3, rtol=1e-3)
    for name in ("pictures.npy", "masks.npy", "attributes.jsonl"):
        shutil.copy(trained / name, tmp_path / "state")
    latents.encode_all(tmp_path / "state", VAE)
    ours, theirs = (
        latents.open_latents(folder).astype(np.float32) for folder in (trained, tmp_path / "state")
    )
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.04, "of unit variance; encoded in bf16"
    before = load_file(tmp_path / "state" / "unet.safetensors")
    run_unet(tmp_path / "state", Budget(stop_at_step=1))
    after = load_file(tmp_path / "state" / "unet.safetensors")
    assert not torch.equal(before["master/conv_in.weight"], after["master/conv_in.weight"])
