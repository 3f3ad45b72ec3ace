"""A run in progress: its steps, evaluations, samples and saved states, as events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from packshot import lora
from packshot.errors import InsufficientMemoryError, ProcessLostError
from packshot.models.compiled_blocks import Compilation, uncompiled
from packshot.models.device_memory import attempt
from packshot.models.diffusion_model import DiffusionModel
from packshot.plan.config import Plan
from packshot.project import Project
from packshot.training import run_state
from packshot.training.convergence import Convergence
from packshot.training.dataset import TrainingSet
from packshot.training.events import (
    CompileFailed,
    Event,
    Sample,
    StateSaved,
    Step,
    StepSkipped,
    Stopped,
    read_events,
)
from packshot.training.metadata import metadata_of
from packshot.training.optimizer import Optimizer
from packshot.training.processes import Processes
from packshot.training.runs import checkpoint_file
from packshot.training.step import take_step


@dataclass(frozen=True)
class Learning:
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
        done = self._compiled_step(step)
        if isinstance(done, str):
            yield CompileFailed(step - 1, done)
            done = self._step_within_memory(step)
        yield done

    def _compiled_step(self, step: int) -> Step | StepSkipped | str:
        """A step; or, where the blocks do not compile, why: then they are as they were before."""
        try:
            return self._step_within_memory(step)
        except RuntimeError as error:
            if (why := self.compilation.fault_of(error)) is None:
                raise
        self.compilation.stop()
        self.optimizer.adamw.zero_grad(set_to_none=True)
        return why

    def _step_within_memory(self, step: int) -> Step | StepSkipped:
        given = self.base, self.plan, self.data, self.optimizer, step, self.processes
        if done := attempt(self.base.device, lambda: take_step(*given)):
            return done
        raise InsufficientMemoryError(
            f"Memory gave out at step {step}, though the plan was measured to fit: does another program "
            "take it now? What was saved is safe: close that program and start again. Or plan anew: "
            "packshot plan."
        )

    def _sample(self, step: int, *, is_last: bool) -> Sample:
        """Generate samples; before the end the LoRA that they show is kept, to be compared."""
        with uncompiled(self.plan.torch_compile):
            sample = make_sample(self.project, self.base, self.run, step)
        if not is_last:
            file = checkpoint_file(self.run, self.project.diffusers_lora_file.name, step)
            lora.write_lora(self.result(), file, self.base, "diffusers", prove=False)
        return sample

    def result(self) -> lora.Lora:
        """The LoRA after the last step."""
        done = self.plan.model_copy(update={"steps": self.optimizer.step})
        told = metadata_of(self.project.subject, self.base, done, self.data)
        return self.optimizer.adapter.to_lora(told)


def make_sample(project: Project, base: DiffusionModel, run: Path, step: int) -> Sample:
    """Generate a picture of each of the usual prompts with the base as it is now, the LoRA in it."""
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
