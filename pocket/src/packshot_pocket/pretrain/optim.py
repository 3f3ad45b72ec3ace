"""The optimizer: fp32 master weights of bf16 modules, Muon or AdamW, and a weight average (EMA).

The modules that compute hold bf16 copies (no autocast, no casts a layer); gradients are moved to
the masters, stepped there, and copied back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_ADAM_ONLY = ("embed", "conv_in.", "conv_out.", "quant_conv.", "projection.")


@dataclass(frozen=True)
class OptimizerConfig:
    """Learning rates are comparable: Muon's update is scaled to the size of AdamW's."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    """On matrices and kernels only, never on embeddings, norms and biases."""
    largest_gradient_norm: float = 1.0
    muon: bool = False
    """Orthogonalised momentum (Jordan 2024, https://kellerjordan.github.io/posts/muon) for inner
    matrices and kernels; AdamW for the rest."""
    average_exponent: float | None = None
    """gamma of the power-function average (Karras et al. 2024, arXiv 2312.02696): the weights of
    step t get beta_t = (1 - 1/t)^(gamma + 1), so the horizon grows with the run. None: no average.
    """


def computing_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the machine computes in it, else fp32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    supported = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if supported else torch.float32


def for_computing(module: nn.Module, device: torch.device) -> nn.Module:
    """`module` on `device` in its computing dtype, convolutions with channels last."""
    module = module.to(device, computing_dtype(device))
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu":
        for part in module.modules():
            if type(part) is nn.GroupNorm:
                part.__class__ = _ContiguousGroupNorm
    return module


class _ContiguousGroupNorm(nn.GroupNorm):
    """On CPUs PyTorch's gradient of a channels-last group norm costs ten times this detour."""

    def forward(self, input: Tensor) -> Tensor:
        normed = super().forward(input.contiguous())
        channels_last = input.ndim == 4
        return normed.contiguous(memory_format=torch.channels_last) if channels_last else normed


class Stepper:
    """Steps `modules` (already in their computing dtype) through fp32 masters.

    Masters of convolution kernels [out, in, h, w] are kept as matrices [out, in*h*w] under the
    module's own parameter names.
    """

    def __init__(self, modules: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        self.computing = {n: p for n, p in modules.named_parameters() if p.requires_grad}
        self.masters = {n: self._master(p) for n, p in self.computing.items()}
        averages = config.average_exponent is not None
        self.average = {n: m.detach().clone() for n, m in self.masters.items()} if averages else {}
        self.optimizers = self._optimizers()

    @staticmethod
    def _master(parameter: Tensor) -> Tensor:
        value = parameter.detach().float()
        return (value.flatten(1) if value.ndim == 4 else value).clone().requires_grad_()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        config = self.config
        groups: dict[str, list[Tensor]] = {"muon": [], "decayed": [], "plain": []}
        for name, master in self.masters.items():
            outer = master.ndim != 2 or any(part in name for part in _ADAM_ONLY)
            if config.muon and not outer:
                groups["muon"].append(master)
            else:
                matrix = master.ndim == 2 and "embed" not in name
                groups["decayed" if matrix else "plain"].append(master)
        adam = [
            {"params": groups["decayed"], "weight_decay": config.weight_decay},
            {"params": groups["plain"], "weight_decay": 0.0},
        ]
        adam = [group for group in adam if group["params"]]
        optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(adam, lr=config.learning_rate, betas=config.betas, fused=True)
        ]
        if groups["muon"]:
            muon = torch.optim.Muon(
                groups["muon"],
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            optimizers.append(muon)
        return optimizers

    def step(self, step: int, rate: float) -> float:
        """Take optimizer step number `step` at learning rate x `rate`; the gradient's norm.

        A norm that is not finite is returned before anything is stepped.
        """
        for name, parameter in self.computing.items():
            gradient, parameter.grad = parameter.grad, None
            master = self.masters[name]
            master.grad = None if gradient is None else gradient.float().reshape(master.shape)
        norm = torch.nn.utils.clip_grad_norm_(
            list(self.masters.values()), self.config.largest_gradient_norm
        )
        if not bool(torch.isfinite(norm)):
            return float(norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate * rate
            optimizer.step()
        self._average(step)
        self.copy_to_modules()
        return float(norm)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        if self.config.average_exponent is None:
            return
        beta = (1 - 1 / (step + 1)) ** (self.config.average_exponent + 1)
        torch._foreach_lerp_(list(self.average.values()), list(self.masters.values()), 1 - beta)

    @torch.no_grad()
    def copy_to_modules(self, averaged: bool = False) -> None:
        """Copy the masters, or their average, into the modules."""
        source = self.average if averaged and self.average else self.masters
        for name, parameter in self.computing.items():
            parameter.copy_(source[name].reshape(parameter.shape))

    def tensors(self) -> dict[str, Tensor]:
        """The state for a resume, flat: master weights, averages, the optimizers' moments."""
        flat = {f"master/{n}": m.detach() for n, m in self._shaped(self.masters).items()}
        flat |= {f"average/{n}": m for n, m in self._shaped(self.average).items()}
        for index, optimizer in enumerate(self.optimizers):
            for parameter, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    flat[f"optimizer/{index}/{parameter}/{key}"] = torch.as_tensor(value)
        return flat

    def _shaped(self, masters: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: m.reshape(self.computing[n].shape) for n, m in masters.items()}

    @torch.no_grad()
    def load(self, flat: dict[str, Tensor]) -> None:
        """Restore the state of `tensors`."""
        for prefix, own in (("master", self.masters), ("average", self.average)):
            for name, value in own.items():
                value.copy_(flat[f"{prefix}/{name}"].reshape(value.shape))
        for index, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(_optimizer_state(optimizer, index, flat))
        self.copy_to_modules()


def _optimizer_state(
    optimizer: torch.optim.Optimizer, index: int, flat: dict[str, Tensor]
) -> dict[str, object]:
    whole = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        if name.startswith(f"optimizer/{index}/"):
            _, _, parameter, key = name.split("/")
            moments.setdefault(int(parameter), {})[key] = value
    return {**whole, "state": moments}
