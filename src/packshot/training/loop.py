"""The training loop: a generator of events that can be killed at any moment and resumes exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from packshot import class_images, lora
from packshot.captions.length import check_lengths
from packshot.errors import (
    InsufficientMemoryError,
    ProcessLostError,
    StaleRunError,
    TrainingDivergedError,
)
from packshot.models.compiled_blocks import (
    Compilation,
    compiled_blocks,
    missing_compiler,
    uncompiled,
)
from packshot.models.device_memory import attempt, peak_bytes
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.loss import per_image_loss
from packshot.models.precision import PRECISIONS
from packshot.photos import photo_set
from packshot.plan.assistant import load_assistant
from packshot.plan.config import Plan, read_plan
from packshot.plan.inputs import current_inputs
from packshot.project import Project
from packshot.training import run_state
from packshot.training.chosen import is_in_place
from packshot.training.convergence import Convergence
from packshot.training.dataset import TrainingSet
from packshot.training.events import (
    CachingLatents,
    CompileFailed,
    Done,
    Event,
    Resumed,
    Sample,
    StateSaved,
    Step,
    StepSkipped,
    Stopped,
    WentOn,
    as_record,
    log_of,
    read_events,
)
from packshot.training.latent_cache import reseed
from packshot.training.loss_scale import MOST_SKIPPED, LossScale
from packshot.training.metadata import metadata_of
from packshot.training.processes import ALONE, Processes
from packshot.training.run_state import State
from packshot.training.runs import checkpoint_file, finished, open_run, refuse_other_loras
from packshot.training.sampler import Slot
from packshot.training.tensorboard import logged
from packshot.utils import files


def train(
    project: Project,
    base: DiffusionModel,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    finish: bool = False,
    go_on: bool = False,
    processes: Processes = ALONE,
) -> Iterator[Event]:
    """Train by the project's plan; an interrupted run of the same plan resumes.

    However often it is interrupted, the LoRA is bit-identical to an uninterrupted run's on the same
    CPU machine. `should_stop` is called after each step; if it is true, the state is saved and the
    run stops. So it does when a KeyboardInterrupt breaks a step off: that step will be done again.

    Args:
        processes: those that train together; all call this with the same project. Steps are the same in
            all, the first alone writes.
        finish: end an interrupted run; its LoRA is that of its last saved state.
        go_on: have a run that ended before the plan's last step go on to it.

    Raises:
        InvalidPlanError: there is no plan, it is out of range, the text encoders cannot be trained, or
            its batch is smaller than the number of processes.
        ProcessLostError: another of the processes has ended; the steps that were done are saved.
        ProcessesError: the processes see different projects.
        StaleRunError: photos, captions, class images, base, its precision or versions are not those of
            the plan; or there is nothing to finish.
        CaptionError: the base does not read as far as the trigger in a caption.
        TrainingDivergedError: a loss or gradient is not finite; in fp16, step after step.
        ProjectError: another process works on the project.
        DiskFullError: no room; the last saved state is intact.
        LoraError: the project's assistant does not fit the base.
        OverwriteError: there is a LoRA in the project that no run of it has made.
    """
    with project.held() if processes.is_first else nullcontext():
        with processes.in_turn():
            plan = _checked_plan(project, base, processes)
            run = open_run(project, plan)
            ended = finished(run)
            if go_on:
                if processes.is_first:
                    _reopen(project, run, plan, ended)
                ended = None
            done = _restore_lora(project, run, ended) if ended else None
        if done:
            yield done
            return
        until = ended.step if ended else None
        given = project, base, plan, run, should_stop, until, finish, processes
        with closing(_run(*given)) as events:
            is_told = processes.is_first and not ended
            yield from _recorded(events, run) if is_told else events


def _checked_plan(project: Project, base: DiffusionModel, processes: Processes) -> Plan:
    """The project's plan, if everything is as it was made for; raises as `train` does."""
    plan = read_plan(project.plan_file)
    changed = plan.inputs.differences(current_inputs(project, base))
    if changed:
        raise StaleRunError(
            f"Changed since the plan was made: {', '.join(changed)}. "
            "Make a new plan (packshot plan), then train; finished runs stay as they are."
        )
    _check_precision(plan, base, project)
    processes.require_batch(plan.effective_batch_size)
    check_lengths(photo_set.list_photos(project), project.subject, base)
    refuse_other_loras(project)
    return plan


def _reopen(project: Project, run: Path, plan: Plan, ended: Done | None) -> None:
    """Note in a run's log that it goes on from where it ended; its LoRA is kept as that of a step.

    Raises:
        StaleRunError: it has not ended, or at the plan's last step.
    """
    if ended is None:
        raise StaleRunError(
            "This run has not ended, so it need not be told to go on: the command without --go-on "
            "resumes it."
        )
    if ended.step >= plan.steps:
        raise StaleRunError(
            f"This run ended at its last step, {plan.steps}. For a longer one set steps in plan.toml and "
            "train; that is a new run."
        )
    name = project.diffusers_lora_file.name
    if files.is_file(run / name):
        files.hard_link_or_copy(run / name, checkpoint_file(run, name, ended.step))
    kept = [event for event in read_events(run) if not isinstance(event, Done)]
    records = [as_record(event, run) for event in (*kept, WentOn(ended.step))]
    files.write_json_lines(log_of(run), iter(records))


def _check_precision(plan: Plan, base: DiffusionModel, project: Project) -> None:
    loaded = PRECISIONS[base.dtype]
    if plan.precision != loaded:
        raise StaleRunError(
            f"The plan is for {plan.precision}, and the base was loaded in {loaded}. Set precision "
            f'to "{loaded}" in {project.plan_file}, or to "{plan.precision}" in '
            f"{project.decisions_file}."
        )


def _restore_lora(project: Project, run: Path, ended: Done) -> Done | None:
    """Make a finished run's LoRA the project's again; None if the run no longer has it.

    What was chosen of the run stays.
    """
    places = _lora_files(project)
    kept = [run / place.name for place in places]
    if not all(file.is_file() for file in kept):
        return None
    if ended.lora_sha256 != tuple(map(files.sha256, kept)):
        return None
    if not is_in_place(project, run.name):
        _hand_over(project, run)
    return replace(ended, lora_file=places[0], diffusers_lora_file=places[1])


def _lora_files(project: Project) -> tuple[Path, Path]:
    return project.lora_file, project.diffusers_lora_file


def _hand_over(project: Project, run: Path) -> tuple[str, str]:
    """Make a run's LoRA the project's; the run keeps its own. Returns the hashes of its files.

    Raises:
        OverwriteError: as `refuse_other_loras`.
    """
    refuse_other_loras(project)
    hashes = []
    for place in _lora_files(project):
        kept = run / place.name
        hashes.append(files.sha256(kept))
        if not files.is_same(place, kept):
            files.note_result(place, hashes[-1])
            files.hard_link_or_copy(kept, place)
    return hashes[0], hashes[1]


def _recorded(events: Iterable[Event], run: Path) -> Iterator[Event]:
    """Pass events through, writing them to events.jsonl and for TensorBoard."""
    for event in logged(events, run / "tensorboard"):
        if not isinstance(event, CachingLatents):
            files.append_line(log_of(run), files.as_json(as_record(event, run)))
        yield event


def _run(
    project: Project,
    base: DiffusionModel,
    plan: Plan,
    run: Path,
    should_stop: Callable[[], bool],
    until: int | None,
    finish: bool,
    processes: Processes,
) -> Generator[Event, None, None]:
    """The events of a run, up to step `until`, else to the plan's last step."""
    started = time.monotonic()
    if plan.cpu_threads and base.device.type == "cpu":
        # Sums of other threads' parts differ in the last bit.
        torch.set_num_threads(max(1, plan.cpu_threads // processes.beside))
    assistant = load_assistant(project, base)
    data = TrainingSet(
        base,
        plan,
        project.subject,
        photo_set.list_photos(project),
        class_images.list_class_images(project),
    )
    if processes.is_first:
        # What will be written at the end is tried before hours are spent on it.
        names = lora.adapted_names(base, plan.target_modules, text=bool(plan.text_encoder_rank))
        told = metadata_of(project.subject, base, plan, data)
        lora.try_writing(names, told, project.lora_folder / ".trial.safetensors", base)
    for done, total in data.fill_caches(processes):
        yield CachingLatents(done, total)
    adapted = lora.add_adapters(
        base,
        plan.target_modules,
        rank=plan.rank,
        alpha=plan.alpha,
        seed=plan.seed,
        text_rank=plan.text_encoder_rank,
    )
    lacks = missing_compiler(base.device) if plan.torch_compile else None
    with (
        adapted as adapter,
        base.gradient_checkpointing(plan.gradient_checkpointing),
        compiled_blocks(base.denoiser, plan.torch_compile and not lacks) as compilation,
        # Embeddings of text encoders that are not trained are cached.
        base.encoders_moved_to(torch.device("cpu"), text=not plan.text_encoder_rank),
    ):
        base.bring_denoiser()  # a saved state's moments go where the LoRA lies
        optimizer = Optimizer(adapter, plan)
        convergence = Convergence(plan, any(isinstance(e, WentOn) for e in read_events(run)))
        resumed = _resume(run, optimizer, convergence)
        processes.require_same(optimizer.step)
        if processes.is_first and (resumed or until is None) and log_of(run).exists():
            _rewind_log(run, optimizer.step)  # to the last saved state, or to before the first
        if resumed:
            yield resumed
        if finish and not resumed:
            raise StaleRunError("There is nothing to finish: no step of this plan is on the disk.")
        if resumed and (finish or (convergence.is_done and not until)):
            until = resumed.step  # if it is done, it was killed between its last state and its end
        until = until or plan.steps
        if lacks and optimizer.step < until:
            yield CompileFailed(optimizer.step, lacks)
        learning = _Learning(
            project, base, plan, run, data, optimizer, convergence, compilation, processes
        )
        is_stopped = yield from learning.steps(until, assistant, should_stop)
        if is_stopped:
            return
        if not optimizer.has_learnt:
            raise _overflown(optimizer.step)
        if not processes.is_first:
            return
        result = learning.result()
    places = _lora_files(project)
    lora.save(result, run / places[0].name, run / places[1].name, base)
    hashes = _hand_over(project, run)
    yield Done(optimizer.step, time.monotonic() - started, peak_bytes(base), *places, hashes)


@dataclass(frozen=True)
class _Learning:
    """A run in progress."""

    project: Project
    base: DiffusionModel
    plan: Plan
    run: Path
    data: TrainingSet
    optimizer: Optimizer
    convergence: Convergence
    compilation: Compilation
    processes: Processes

    def steps(
        self,
        until: int,
        assistant: Sequence[tuple[lora.Lora, float]],
        should_stop: Callable[[], bool],
    ) -> Generator[Event, None, bool]:
        """The events of the steps up to `until`, or to when it is done; returns whether it was stopped.

        Where it is broken off, the state after the last whole step is saved.

        Args:
            assistant: LoRAs beside the one that learns.
        """
        begun = self.optimizer.step
        whole = begun
        try:
            last = begun == self.plan.steps or self.convergence.is_done
            if begun and self._lacks_sample(begun, is_last=last):
                yield self._sample(begun, is_last=last)
            with ExitStack() as assisted:
                assisted.enter_context(lora.fused(self.base, assistant))
                for step in range(begun + 1, until + 1):
                    yield from self._step(step)
                    if self.convergence.is_due(step):
                        yield self.convergence.evaluate(step, self.base, self.data, self.processes)
                    whole = step
                    last = step == until or self.convergence.is_done
                    stop = self.processes.any(should_stop()) and not last
                    # Samples first: after a resume, only those that a stop left out are made.
                    if not stop and self._lacks_sample(step, is_last=last):
                        assisted.close()  # pictures are of the LoRA alone
                        yield self._sample(step, is_last=last)
                        assisted.enter_context(lora.fused(self.base, assistant))
                    if last or stop or step % self.plan.save_every_n_steps == 0:
                        yield from self._save()
                    if stop:
                        yield Stopped(step)
                    if stop or last:
                        return stop
        except (KeyboardInterrupt, ProcessLostError) as why:
            if not whole or self.optimizer.step != whole:  # broken off as the LoRA changed
                raise
            yield from self._save()
            if isinstance(why, ProcessLostError):
                raise
            yield Stopped(whole)
            return True
        return False

    def _save(self) -> Iterator[StateSaved]:
        if self.processes.is_first:
            state = self.optimizer.state(self.convergence.losses)
            yield StateSaved(state.step, run_state.save(self.run / "checkpoints", state))

    def _lacks_sample(self, step: int, *, is_last: bool) -> bool:
        """Whether pictures of this step are to be made, and were not before it was stopped."""
        every = self.plan.sample_every_n_steps
        if not self.processes.is_first or not every or (step % every and not is_last):
            return False
        told = read_events(self.run)
        return not any(isinstance(event, Sample) and event.step == step for event in told)

    def _step(self, step: int) -> Iterator[Event]:
        """A step, without torch.compile from where it does not work."""
        given = self.base, self.plan, self.data, self.optimizer, step, self.processes
        made = _compiled_step(*given, self.compilation)
        if isinstance(made, str):
            yield CompileFailed(step - 1, made)
            made = _step_within_memory(*given)
        yield made

    def _sample(self, step: int, *, is_last: bool) -> Sample:
        """Generate samples; before the end the LoRA that they show is kept, to be compared."""
        with uncompiled(self.plan.torch_compile):
            sample = _sample(self.project, self.base, self.run, step)
        if not is_last:
            file = checkpoint_file(self.run, self.project.diffusers_lora_file.name, step)
            lora.write_lora(self.result(), file, self.base, "diffusers", prove=False)
        return sample

    def result(self) -> lora.Lora:
        """The LoRA after the last step."""
        done = self.plan.model_copy(update={"steps": self.optimizer.step})
        told = metadata_of(self.project.subject, self.base, done, self.data)
        return self.optimizer.adapter.to_lora(told)


def _resume(run: Path, optimizer: Optimizer, convergence: Convergence) -> Resumed | None:
    """Take up the newest saved state; None if there is none.

    A function of its own, so that the state, gigabytes of a large LoRA, is not held while it trains.
    """
    state, note = run_state.latest(run / "checkpoints")
    if not state:
        return None
    run_state.check_names(state, set(optimizer.adapter.state()))
    optimizer.load(state)
    convergence.losses = list(state.held_out_losses)
    return Resumed(state.step, note)


_LOSS_SCALE = "loss_scale"
"""Its key in a saved state, beside those of the moments, "<parameter>/<moment>"."""


class Optimizer:
    """AdamW over the adapter's fp32 parameters, with the plan's learning rates.

    In fp16 its gradients are those of a scaled loss until they are clipped.
    """

    def __init__(self, adapter: lora.Adapters, plan: Plan) -> None:
        self.adapter, self.plan, self.step = adapter, plan, 0
        self.named = adapter.named_parameters()
        self.loss_scale = LossScale() if plan.precision == "fp16" else None
        groups = [list(adapter.denoiser.named_parameters().values())]
        if adapter.text_encoders:
            groups.append(list(adapter.text_encoder_parameters().values()))
        self.adamw = torch.optim.AdamW(
            [{"params": group} for group in groups],
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """The rate of step 1, 2, …: linear warm-up, then constant or cosine down to a tenth."""
        plan = self.plan
        if step <= plan.lr_warmup_steps:
            return plan.learning_rate * step / plan.lr_warmup_steps
        if plan.lr_scheduler == "constant":
            return plan.learning_rate
        done = (step - plan.lr_warmup_steps) / max(1, plan.steps - plan.lr_warmup_steps)
        return plan.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))

    @property
    def has_learnt(self) -> bool:
        """Whether any step has been applied."""
        return any(self.adamw.state.values())

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those that there are."""
        (loss * self.loss_scale.value if self.loss_scale else loss).backward()

    def apply(self, step: int) -> None:
        """Step the optimizer and clear the gradients."""
        self.step = step  # first: who breaks it off sees that the state is not the last step's
        now, plan = self.learning_rate(step), self.plan
        rates = (now, now * plan.text_encoder_learning_rate / plan.learning_rate)
        for group, rate in zip(self.adamw.param_groups, rates, strict=False):
            group["lr"] = rate
        self.adamw.step()
        self._end(is_finite=True)

    def skip(self, step: int) -> None:
        """Clear the gradients, which fp16 was too narrow for."""
        self.step = step
        self._end(is_finite=False)

    def _end(self, *, is_finite: bool) -> None:
        self.adamw.zero_grad(set_to_none=True)
        if self.loss_scale:
            self.loss_scale.update(is_finite=is_finite)

    def clip(self) -> Tensor:
        """Clip the gradients' total norm to the plan's maximum; returns the norm before."""
        if self.loss_scale:
            self.loss_scale.unscale(self.named.values())
        return torch.nn.utils.clip_grad_norm_(self.named.values(), self.plan.max_grad_norm)

    def state(self, held_out_losses: Sequence[float] = ()) -> State:
        """Everything that the next step, and the run's end, depends on."""
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.named.items()
            for key, value in self.adamw.state[parameter].items()
        }
        scale = {_LOSS_SCALE: self.loss_scale.state()} if self.loss_scale else {}
        return State(self.step, self.adapter.state(), moments | scale, tuple(held_out_losses))

    def load(self, state: State) -> None:
        """Restore a saved state."""
        self.adapter.load_state(state.adapter)
        for key, value in state.optimizer.items():
            if key == _LOSS_SCALE:
                self.loss_scale = LossScale.of(value)
                continue
            name, _, moment = key.rpartition("/")
            self.adamw.state[self.named[name]][moment] = value.to(self.named[name].device)
        self.step = state.step


def _compiled_step(
    base: DiffusionModel, plan: Plan, data: TrainingSet, optimizer: Optimizer, step: int,
    processes: Processes, compilation: Compilation,
) -> Step | StepSkipped | str:  # fmt: skip
    """A step; or, where the blocks do not compile, why: then they are as they were before."""
    try:
        return _step_within_memory(base, plan, data, optimizer, step, processes)
    except RuntimeError as error:
        if (why := compilation.fault_of(error)) is None:
            raise
    compilation.stop()
    optimizer.adamw.zero_grad(set_to_none=True)
    return why


def _step_within_memory(
    base: DiffusionModel, plan: Plan, data: TrainingSet, optimizer: Optimizer, step: int,
    processes: Processes,
) -> Step | StepSkipped:  # fmt: skip
    if done := attempt(base.device, lambda: _step(base, plan, data, optimizer, step, processes)):
        return done
    raise InsufficientMemoryError(
        f"Memory gave out at step {step}, though the plan was measured to fit: does another program "
        "take it now? What was saved is safe: close that program and start again. Or plan anew: "
        "packshot plan."
    )


def _step(
    base: DiffusionModel, plan: Plan, data: TrainingSet, optimizer: Optimizer, step: int,
    processes: Processes = ALONE,
) -> Step | StepSkipped:  # fmt: skip
    started = time.monotonic()
    count = plan.effective_batch_size
    first = (step - 1) * count
    losses = torch.zeros(count)
    for part in _micro_batches(plan, processes):
        reseed(plan.seed, first + part.start)
        for group in data.groups(first + part.start, len(part)):
            each = per_image_loss(base, group.batch, plan.min_snr_gamma)
            optimizer.backward((each * group.batch.loss_weights).sum() / count)
            losses[[slot.number - first for slot in group.slots]] = torch.tensor(each.tolist())
    losses = processes.add_up(list(optimizer.named.values()), losses)
    slots = [data.slot(number) for number in range(first, first + count)]
    norm = float(optimizer.clip())
    if optimizer.loss_scale and not math.isfinite(norm + float(losses.sum())):
        return _skipped(optimizer, optimizer.loss_scale, step)
    _check_finite(norm, losses.tolist(), step, data, slots)
    optimizer.apply(step)
    told = list(zip(slots, losses.tolist(), strict=True))
    classes = [loss for slot, loss in told if slot.is_class]
    photos = [loss for slot, loss in told if not slot.is_class]
    return Step(
        step,
        plan.steps,
        (sum(photos) + plan.prior_loss_weight * sum(classes)) / count,
        sum(photos) / len(photos) if photos else None,
        sum(classes) / len(classes) if classes else None,
        optimizer.learning_rate(step),
        time.monotonic() - started,
    )


def _micro_batches(plan: Plan, processes: Processes) -> Iterator[range]:
    """This process's examples of a step, by their place in it, as many at once as the plan says."""
    share = processes.share(plan.effective_batch_size)
    most = plan.effective_batch_size // plan.gradient_accumulation_steps
    for start in range(share.start, share.stop, most):
        yield range(start, min(start + most, share.stop))


def _skipped(optimizer: Optimizer, scale: LossScale, step: int) -> StepSkipped:
    optimizer.skip(step)
    if scale.skipped >= MOST_SKIPPED:
        raise _overflown(scale.skipped)
    return StepSkipped(step, optimizer.plan.steps, scale.value, scale.skipped)


def _overflown(count: int) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"fp16 is too narrow for this training: the gradients of {count} steps in a row were not "
        'finite. What was learnt before is safe. Set precision to "fp32" in plan.toml and in '
        "decisions.toml (more memory, and slower), or lower learning_rate in plan.toml."
    )


def _check_finite(
    norm: float, losses: Sequence[float], step: int, data: TrainingSet, slots: Sequence[Slot]
) -> None:
    """Refuse a step whose losses (one a slot) or gradient norm are not finite, and name the images."""
    if math.isfinite(norm + sum(losses)):
        return
    odd = [slot for slot, loss in zip(slots, losses, strict=True) if not math.isfinite(loss)]
    names = ", ".join(sorted({data.picture(slot).file.name for slot in odd or slots}))
    raise TrainingDivergedError(
        f"The loss or its gradient is not finite at step {step} (images: {names}). The weights "
        "before this step are safe. Lower learning_rate in plan.toml, or remove that image."
    )


def _sample(project: Project, base: DiffusionModel, run: Path, step: int) -> Sample:
    from packshot.generation.generate import GenerationSettings, generate_images
    from packshot.generation.prompts import default_prompts

    prompts = default_prompts(project.subject)[:4]
    with base.encoders_moved_to(base.device):
        shots = generate_images(
            base,
            prompts,
            settings=GenerationSettings(seeds=(0,)),
            folder=run / "samples" / f"{step:07d}",
            subject=project.subject,
            marking=replace(project.marking, has_watermark=False),
        )
        images = list(shots)
    return Sample(
        step, tuple(image.prompt for image in images), tuple(image.file for image in images)
    )


def _rewind_log(run: Path, step: int) -> None:
    """Drop the lines logged after the saved state: those steps will be repeated."""
    kept = (event for event in read_events(run) if getattr(event, "step", 0) <= step)
    files.write_json_lines(log_of(run), (as_record(event, run) for event in kept))
