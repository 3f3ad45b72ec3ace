"""The VAE: images [B, 3, H, W] in [-1, 1] to latents [B, C, H/8, W/8] and back.

Latent diffusion's KL autoencoder (Rombach et al. 2022, arXiv 2112.10752) in diffusers' class,
small and fully convolutional, trained on crops. What makes it learn in minutes: a start that
passes the signal through (`start_near_identity`), orthogonalised momentum, and losses on the
pictures, their edges and their halves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from packshot_pocket.pretrain import state
from packshot_pocket.pretrain.data import (
    PIXELS,
    Pictures,
    Pixels,
    open_packed,
    to_pixels,
    to_tensor,
)
from packshot_pocket.pretrain.generic import generic_pictures
from packshot_pocket.pretrain.loop import (
    Budget,
    Loop,
    LoopConfig,
    Report,
    batch_indices,
    generator,
    noise,
)
from packshot_pocket.pretrain.optim import OptimizerConfig, Stepper, for_computing

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

FACTOR = 8


@dataclass(frozen=True)
class VaeConfig:
    """The autoencoder's shape and how it is trained."""

    widths: tuple[int, ...] = (24, 48, 96, 128)
    latent_channels: int = 8
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4000, batch=16))
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=1.5e-3, muon=True, average_exponent=16.97
        )
    )
    crop_pixels: int = 64
    generic_fraction: float = 0.25
    """Share of a batch that shows nothing in particular (`generic.py`)."""
    generic_count: int = 1000
    zoomed_fraction: float = 0.25
    """Share of crops that are cut larger and made smaller."""
    edge_weight: float = 1.0
    halves_weight: float = 0.5
    divergence_weight: float = 1e-5
    """Of the KL divergence from N(0, 1), averaged over latent elements: tiny, it only keeps the
    latents' scale from drifting and the decoder used to a little noise."""
    judged: int = 64
    """Held-out pictures that an evaluation looks at, at most."""


def new_vae(config: VaeConfig) -> AutoencoderKL:
    """A VAE in fp32 with random weights that starts near the identity."""
    from diffusers import AutoencoderKL

    blocks = len(config.widths)
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            block_out_channels=config.widths,
            layers_per_block=1,
            latent_channels=config.latent_channels,
            norm_num_groups=8,
            sample_size=PIXELS,
            scaling_factor=1.0,
            mid_block_add_attention=False,
            force_upcast=False,
        )
        start_near_identity(vae)
    return vae


@torch.no_grad()
def start_near_identity(vae: AutoencoderKL) -> None:
    """Set the starting weights so that signal and gradient pass through all levels unhindered.

    Downsampling convolutions begin as Haar transforms that keep the lowest frequencies, upsampling
    ones as bilinear interpolation, shortcuts as identities, residual branches small.
    """
    from diffusers.models.resnet import ResnetBlock2D

    for module in vae.modules():
        if isinstance(module, ResnetBlock2D):
            module.conv2.weight.mul_(0.2)
            if module.conv_shortcut is not None:
                _mix_in_identity(module.conv_shortcut, torch.ones(1, 1))
    _mix_in_identity(vae.encoder.conv_in, _centre())
    orders = [0.0] * 3
    for level, block in enumerate(vae.encoder.down_blocks):
        for downsampler in block.downsamplers or []:
            orders = _haar(downsampler.conv, orders, finest=2.0 ** (2 - level))
    line = torch.tensor([0.25, 0.5, 0.25])
    for block in vae.decoder.up_blocks:
        for upsampler in block.upsamplers or []:
            _mix_in_identity(upsampler.conv, line[:, None] * line)
    for module in (vae.quant_conv, vae.post_quant_conv):
        if module is not None:
            _mix_in_identity(module, torch.ones(1, 1))
    # A little noise on the latents from the start: exp(-5 / 2) of their spread.
    vae.quant_conv.bias[vae.config.latent_channels :] = -5.0


def _centre() -> Tensor:
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1
    return kernel


def _mix_in_identity(convolution: nn.Conv2d, kernel: Tensor) -> None:
    """Output i begins as input i seen through `kernel`, plus the default start made small."""
    convolution.weight.mul_(0.3)
    if convolution.bias is not None:
        convolution.bias.zero_()
    for channel in range(min(convolution.in_channels, convolution.out_channels)):
        convolution.weight[channel, channel] += kernel


@torch.no_grad()
def _haar(convolution: nn.Conv2d, orders: list[float], finest: float) -> list[float]:
    """Start a stride-2 convolution as the Haar transform of its first `len(orders)` channels.

    `orders` tells how high the frequency of each such channel is; the outputs are the lowest that
    fit, in that order. Their orders are returned. diffusers pads below and on the right, so the
    2x2 cell is the kernel's upper left.
    """
    cells = [
        (0.0, torch.tensor([[1.0, 1.0], [1.0, 1.0]]) / 4),
        (finest, torch.tensor([[1.0, -1.0], [1.0, -1.0]]) / 2),
        (finest, torch.tensor([[1.0, 1.0], [-1.0, -1.0]]) / 2),
        (2 * finest, torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) / 2),
    ]
    bands = [
        (order + extra, channel, cell)
        for channel, order in enumerate(orders)
        for extra, cell in cells
    ]
    bands = sorted(bands, key=lambda band: band[0])[: convolution.out_channels]
    convolution.weight.mul_(0.3)
    for output, (_, channel, cell) in enumerate(bands):
        convolution.weight[output, channel, :2, :2] += cell
    return [order for order, _, _ in bands]


class VaeBatches:
    """Crops of training and generic pictures; a batch is a function of the step's number."""

    def __init__(self, pictures: Pictures, config: VaeConfig) -> None:
        self.config, self.pictures = config, pictures
        self.generic = generic_pictures(config.generic_count, config.loop.seed)

    def __call__(self, step: int) -> Tensor:
        """Batch number `step`: fp32 [B, 3, crop, crop] in [-1, 1]."""
        config, training = self.config, self.pictures.training
        rng = generator(config.loop.seed, step, "crops")
        generic = round(config.loop.batch * config.generic_fraction)
        chosen = batch_indices(len(training), config.loop.batch - generic, step, config.loop.seed)
        sources = [self.pictures.pixels[training[i]] for i in chosen]
        sources += [self.generic[i] for i in rng.integers(0, len(self.generic), generic)]
        return to_tensor(np.stack([self._crop(source, rng) for source in sources]))

    def _crop(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        crop = self.config.crop_pixels
        zoomed = rng.random() < self.config.zoomed_fraction
        side = int(rng.integers(crop, PIXELS + 1)) if zoomed else crop
        top, left = rng.integers(0, PIXELS - side + 1, 2)
        cut = pixels[top : top + side, left : left + side]
        if side != crop:
            image = Image.fromarray(cut).resize((crop, crop), Image.Resampling.BICUBIC)
            cut = np.asarray(image)
        return cut[:, ::-1] if rng.random() < 0.5 else cut


def _charbonnier(difference: Tensor) -> Tensor:
    """sqrt(d^2 + e^2): L1, smooth near zero."""
    return (difference.square() + 1e-4).sqrt().mean()


def reconstruction_loss(decoded: Tensor, pictures: Tensor, config: VaeConfig) -> Tensor:
    """Robust differences of the pixels, of their edges and of the pictures at half size."""
    difference = decoded.float() - pictures
    loss = _charbonnier(difference)
    if config.edge_weight:
        across, down = difference.diff(dim=3), difference.diff(dim=2)
        loss = loss + config.edge_weight * (_charbonnier(across) + _charbonnier(down)) / 2
    if config.halves_weight:
        loss = loss + config.halves_weight * _charbonnier(F.avg_pool2d(difference, 2))
    return loss


def _loss(vae: AutoencoderKL, pictures: Tensor, spread: Tensor, config: VaeConfig) -> Tensor:
    moments = vae.quant_conv(vae.encoder(pictures.to(vae.dtype))).float()
    mean, log_variance = moments.chunk(2, dim=1)
    log_variance = log_variance.clamp(-30, 20)
    latents = mean + (log_variance / 2).exp() * spread
    decoded = vae.decoder(vae.post_quant_conv(latents.to(vae.dtype)))
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
    return reconstruction_loss(decoded, pictures, config) + config.divergence_weight * divergence


def train_vae(folder: Path, config: VaeConfig, budget: Budget) -> Report:
    """Train the autoencoder on the packed pictures of `folder`, from its checkpoint if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = open_packed(folder)
    batches = VaeBatches(pictures, config)
    vae: Any = for_computing(new_vae(config), device)
    shape = (config.loop.batch, config.latent_channels, *([config.crop_pixels // FACTOR] * 2))

    def loss(step: int) -> Tensor:
        spread = noise(shape, generator(config.loop.seed, step, "posterior"))
        return _loss(vae, batches(step).to(device), spread.to(device), config)

    def evaluate() -> Report:
        some = pictures.pixels[pictures.judged(config.judged)]
        decoded = reconstruct(vae, some)
        sheet = np.vstack([np.hstack(list(some[:8])), np.hstack(list(decoded[:8]))])
        state.save_picture(folder / "vae.png", sheet)
        return {"PSNR dB": psnr(some, decoded)}

    stepper = Stepper(vae, config.optimizer)
    return Loop("vae", folder, stepper, config.loop, loss, evaluate).run(budget)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pixels: Pixels, batch: int = 16) -> Pixels:
    """Images uint8 [N, H, W, 3] encoded (the posterior's mean) and decoded by the VAE."""
    parts = []
    for start in range(0, len(pixels), batch):
        pictures = to_tensor(pixels[start : start + batch]).to(vae.device, vae.dtype)
        parts.append(to_pixels(vae.decode(vae.encode(pictures).latent_dist.mean).sample))
    return np.concatenate(parts)


def psnr(pixels: Pixels, others: Pixels) -> float:
    """Peak signal-to-noise ratio in dB, the mean over pictures uint8 [N, H, W, 3]."""
    error = (pixels.astype(np.float32) - others.astype(np.float32)) ** 2
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error.mean(axis=(1, 2, 3)), 1e-3))))


def load_vae(folder: Path, config: VaeConfig) -> AutoencoderKL:
    """The trained VAE in fp32, as trained (not folded)."""
    vae = new_vae(config)
    vae.load_state_dict(state.weights(folder, "vae"))
    return vae.eval()


@torch.no_grad()
def fold_statistics(vae: AutoencoderKL, mean: Tensor, deviation: Tensor) -> None:
    """Change the outermost 1x1 convolutions so that latents come out as (z - mean) / deviation.

    Exact but for rounding: the reconstruction is the same, the latents have zero mean and unit
    variance a channel, and `scaling_factor` is 1. `mean` and `deviation` are [C].
    """
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:channels] /= deviation[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / deviation
    quant.bias[channels:] -= 2 * deviation.log()
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= deviation[None, :, None, None]
