"""The training loop: a generator of events that can be killed at any moment and resumes exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import torch

from packshot import class_images, lora
from packshot.captions.length import check_lengths
from packshot.errors import StaleRunError
from packshot.models.compiled_blocks import compiled_blocks, missing_compiler
from packshot.models.device_memory import peak_bytes
from packshot.models.diffusion_model import DiffusionModel
from packshot.models.precision import PRECISIONS
from packshot.photos import photo_set
from packshot.plan.assistant import load_assistant
from packshot.plan.config import Plan, read_plan
from packshot.plan.inputs import current_inputs
from packshot.project import Project
from packshot.training import run_state
from packshot.training.convergence import Convergence
from packshot.training.dataset import TrainingSet
from packshot.training.events import (
    CachingLatents,
    CompileFailed,
    Done,
    Event,
    Resumed,
    WentOn,
    as_record,
    log_of,
    read_events,
    rewind_log,
)
from packshot.training.learning import Learning
from packshot.training.metadata import metadata_of
from packshot.training.optimizer import Optimizer
from packshot.training.processes import ALONE, Processes
from packshot.training.runs import (
    finished,
    hand_over,
    lora_files,
    open_run,
    refuse_other_loras,
    reopen,
    restore_lora,
)
from packshot.training.step import overflown
from packshot.training.tensorboard import logged
from packshot.utils import in_place, serialization


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
                    reopen(project, run, plan, ended)
                ended = None
            done = restore_lora(project, run, ended) if ended else None
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


def _check_precision(plan: Plan, base: DiffusionModel, project: Project) -> None:
    loaded = PRECISIONS[base.dtype]
    if plan.precision != loaded:
        raise StaleRunError(
            f"The plan is for {plan.precision}, and the base was loaded in {loaded}. Set precision "
            f'to "{loaded}" in {project.plan_file}, or to "{plan.precision}" in '
            f"{project.decisions_file}."
        )


def _recorded(events: Iterable[Event], run: Path) -> Iterator[Event]:
    """Pass events through, writing them to events.jsonl and for TensorBoard."""
    for event in logged(events, run / "tensorboard"):
        if not isinstance(event, CachingLatents):
            in_place.append_line(log_of(run), serialization.as_json(as_record(event, run)))
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
        _try_writing(project, base, plan, data)
    for done, total in data.fill_caches(processes):
        yield CachingLatents(done, total)
    adapted = lora.add_adapters(
        base, plan.target_modules, rank=plan.rank, alpha=plan.alpha, seed=plan.seed,
        text_rank=plan.text_encoder_rank,
    )  # fmt: skip
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
            rewind_log(run, optimizer.step)  # to the last saved state, or to before the first
        if resumed:
            yield resumed
        until = _last_step(plan, until, resumed, finish=finish, is_done=convergence.is_done)
        if lacks and optimizer.step < until:
            yield CompileFailed(optimizer.step, lacks)
        learning = Learning(
            project, base, plan, run, data, optimizer, convergence, compilation, processes
        )
        is_stopped = yield from learning.steps(until, assistant, should_stop)
        if is_stopped:
            return
        if not optimizer.has_learnt:
            raise overflown(optimizer.step)
        if not processes.is_first:
            return
        result = learning.result()
    places = lora_files(project)
    lora.save(result, run / places[0].name, run / places[1].name, base)
    hashes = hand_over(project, run)
    yield Done(optimizer.step, time.monotonic() - started, peak_bytes(base), *places, hashes)


def _try_writing(project: Project, base: DiffusionModel, plan: Plan, data: TrainingSet) -> None:
    """Try what will be written at the end, before hours are spent on it."""
    names = lora.adapted_names(base, plan.target_modules, text=bool(plan.text_encoder_rank))
    told = metadata_of(project.subject, base, plan, data)
    lora.try_writing(names, told, project.lora_folder / ".trial.safetensors", base)


def _last_step(
    plan: Plan, until: int | None, resumed: Resumed | None, *, finish: bool, is_done: bool
) -> int:
    """The step at which a run ends unless it is done before.

    Args:
        until: where it ended before, if it did.
        is_done: whether training is done by the state from which it resumes.

    Raises:
        StaleRunError: it is to be finished, and nothing of it was saved.
    """
    if finish and not resumed:
        raise StaleRunError("There is nothing to finish: no step of this plan is on the disk.")
    if resumed and (finish or (is_done and not until)):
        return resumed.step  # if it is done, it was killed between its last state and its end
    return until or plan.steps


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
