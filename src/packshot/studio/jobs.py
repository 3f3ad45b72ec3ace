"""Long work: commands of Packshot's in processes of their own, and the queue of those that wait.

Each job is a folder, so that the queue outlives the studio:

    job.json       what is to be done (the studio writes it)
    run.json       the process that does it: its mark (the process writes it, once)
    progress.json  how far it is (as `packshot.cli.console` writes it)
    log.txt        what it says
    end.json       how it ended (the process writes it)

A process belongs to no terminal and to no studio: a closed tab, a studio that is restarted or killed,
change nothing for it. A studio that starts finds it again by its mark.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from packshot.errors import PackshotError
from packshot.project import Project
from packshot.studio import machine
from packshot.studio.process_marks import process_of
from packshot.studio.workspace import Workspace
from packshot.utils import files, reading

State = Literal["waiting", "running", "done", "partly", "failed", "stopped"]
_MOST_LOG = 200_000
"""Bytes of a log's end that are read."""
_NOTE = "note: "
"""How a command's line begins that a user should know of."""
_KEPT_JOBS = 60
"""Ended jobs that are kept, to be looked at."""
_LIGHT_AT_ONCE = 2
_DOUBLE_CLICK = 1.0
"""Seconds in which the same job is asked for once."""


class JobError(PackshotError):
    """A job that is not there any more, or not in a state for what is asked."""


@dataclass(frozen=True)
class Job:
    """A command for one project, and how far it is."""

    id: str
    project: str
    """The project's id."""
    kind: str
    """What it does, as a key of the texts: `jobs.kind.KIND`."""
    arguments: tuple[str, ...]
    """Of the command `packshot`."""
    heavy: bool
    """Whether it computes with a base: one such job runs at a time."""
    position: float
    """In the queue; the least comes first."""
    created: float
    scratch: str = ""
    """A folder of files that were sent for it, deleted at its end."""
    name: str = ""
    """Of whom it computes for, as other studios of this machine are told while they wait."""
    state: State = "waiting"
    started: float = 0.0
    ended: float = 0.0
    what: str = ""
    done: int = 0
    total: int = 0
    note: str = ""
    """As the command says it beside its progress."""
    stopping: bool = False

    @property
    def is_over(self) -> bool:
        return self.state not in ("waiting", "running")


@dataclass
class JobQueue:
    """The jobs of a workspace. Its methods may be called from any thread."""

    workspace: Workspace
    waits_for: str = ""
    """The other studio's job for which the next heavy one of this waits."""
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _seen: dict[str, Job] = field(default_factory=dict)
    _over: dict[str, Job] = field(default_factory=dict)
    """Jobs that have ended: nothing of them changes, so they are read once."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def folder(self) -> Path:
        return self.workspace.state_folder / "jobs"

    def add(
        self,
        project: Project,
        kind: str,
        *arguments: str,
        heavy: bool = True,
        scratch: Path | None = None,
    ) -> Job:
        """Queue a command of Packshot's for a project; it is started as soon as its turn comes.

        The same command that waits already, or was asked for just now, is not queued again.

        Args:
            kind: names it in the texts: `jobs.kind.KIND`.
            arguments: the command and its options, without `--project`.
            heavy: whether it computes with a base: one such job runs at a time.
            scratch: a folder that is deleted when it has ended.
        """
        with self._lock:
            now = time.time()
            arguments = (*arguments, "--project", str(project.root))
            jobs = self.jobs()
            for job in jobs:
                begins = job.state == "waiting" or now - job.created < _DOUBLE_CLICK
                if job.arguments == arguments and begins and not job.is_over:
                    return job
            last = max((job.position for job in jobs), default=0.0)
            job = Job(
                id=f"{int(now * 1000):013d}-{os.urandom(3).hex()}",
                project=self.workspace.id_of(project.root),
                kind=kind,
                arguments=arguments,
                heavy=heavy,
                position=last + 1,
                created=now,
                scratch=str(scratch or ""),
                name=f"{project.root.name} ({self.workspace.folder.name})",
            )
            self._write(job)
            return job

    def jobs(self, project: str | None = None) -> list[Job]:
        """All jobs (of one project), those that end the queue last."""
        if not self.folder.is_dir():
            return []
        found = (self._read(folder) for folder in self.folder.iterdir())
        jobs = [job for job in found if job and project in (None, job.project)]
        return sorted(jobs, key=lambda job: (job.position, job.id))

    def get(self, id: str) -> Job:
        """One job.

        Raises:
            JobError: there is none with this id.
        """
        for job in self.jobs():
            if job.id == id:
                return job
        raise JobError("This job is not there any more.")

    def current(self, project: str, *kinds: str) -> Job | None:
        """A project's job of these kinds that runs or waits; None if there is none."""
        jobs = (job for job in self.jobs(project) if not job.is_over)
        return next((job for job in jobs if not kinds or job.kind in kinds), None)

    def running(self, project: str) -> Job | None:
        """A project's job that runs; None if there is none."""
        return next((job for job in self.jobs(project) if job.state == "running"), None)

    def latest(self, project: str, *kinds: str) -> Job | None:
        """A project's newest job of these kinds."""
        jobs = [job for job in self.jobs(project) if job.kind in kinds]
        return max(jobs, key=lambda job: job.created, default=None)

    def scratch_folders(self) -> set[Path]:
        """Folders of what was sent for jobs that have not ended."""
        return {Path(job.scratch) for job in self.jobs() if job.scratch and not job.is_over}

    def log(self, id: str) -> str:
        """The end of what a job has said."""
        return reading.read_end(self.folder / self.get(id).id / "log.txt", _MOST_LOG)

    def fault(self, id: str) -> str:
        """What a failed job said at its end: the message of the error."""
        lines = self.log(id).splitlines()
        begins = [n for n, line in enumerate(lines) if line.startswith("packshot: ")]
        return "\n".join(lines[begins[-1] :]).removeprefix("packshot: ") if begins else ""

    def notes(self, id: str) -> list[str]:
        """What a job has told beside its results, each once."""
        said = (line for line in self.log(id).splitlines() if line.startswith(_NOTE))
        return list(dict.fromkeys(line.removeprefix(_NOTE) for line in said))

    def move(self, id: str, by: int) -> None:
        """Move a waiting job up (-1) or down (1) among those that wait.

        Raises:
            JobError: it does not wait any more.
        """
        with self._lock:
            waiting = [job for job in self.jobs() if job.state == "waiting"]
            index = next((n for n, job in enumerate(waiting) if job.id == id), None)
            if index is None:
                self.get(id)
                raise JobError("This job has begun already: its place cannot be changed any more.")
            if not 0 <= index + by < len(waiting):
                return
            one, other = waiting[index], waiting[index + by]
            self._write(one, position=other.position)
            self._write(other, position=one.position)

    def stop(self, id: str) -> None:
        """Take a waiting job out of the queue; have a running one stop, as Ctrl-C does.

        Asked again, a running one stops at once.
        """
        with self._lock:
            job = self.get(id)
            if job.state == "waiting" and id not in self._children:
                self._remove(job)
            elif not job.is_over:  # one that is only just beginning looks for the file itself
                files.write_json(self.folder / id / "stop.json", {"at": time.time()})
                if process := process_of(_record(self.folder / id / "run.json")):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(signal.SIGINT)

    def forget(self, id: str) -> None:
        """Drop an ended job from the list."""
        with self._lock:
            job = self.get(id)
            if job.is_over:
                self._remove(job)

    def tick(self) -> set[str]:
        """Start what may start now. Returns the ids of projects whose jobs have changed since the last."""
        with self._lock:
            self._reap()
            jobs, waited_for = self.jobs(), self.waits_for
            self._start_next(jobs)
            for job in jobs:
                if job.is_over and job.scratch:
                    self._clear(job)
            over = sorted((job for job in jobs if job.is_over), key=lambda job: job.created)
            for job in over[: max(0, len(over) - _KEPT_JOBS)]:
                self._remove(job)
            now = {job.id: job for job in jobs}
            both = now.keys() | self._seen.keys()
            changed = {id for id in both if now.get(id) != self._seen.get(id)}
            if self.waits_for != waited_for:
                changed |= {job.id for job in jobs if job.state == "waiting"}
            touched = {(now.get(id) or self._seen[id]).project for id in changed}
            self._seen = now
            return touched

    def _reap(self) -> None:
        """Let go of our children that have ended; one that was killed cannot say so itself."""
        for id, child in list(self._children.items()):
            if (code := child.poll()) is None:
                continue
            del self._children[id]
            folder = self.folder / id
            run = _record(folder / "run.json")
            is_its = run.get("pid", child.pid) == child.pid  # else an earlier studio's does the job
            if is_its and folder.is_dir() and not (folder / "end.json").exists():
                # Where nobody is named (a power cut empties files) it has done nothing.
                code = code or int(not run)
                files.write_json(folder / "end.json", {"code": code, "at": time.time()})

    def _start_next(self, jobs: Sequence[Job]) -> None:
        running = [job for job in jobs if job.state == "running" or job.id in self._children]
        self.waits_for = ""
        for job in jobs:
            if job.state != "waiting" or job.id in self._children:
                continue
            is_free = all(job.project != other.project for other in running)
            alike = sum(job.heavy == other.heavy for other in running)
            if not is_free or alike >= (1 if job.heavy else _LIGHT_AT_ONCE):
                continue
            if job.heavy and (self.waits_for or (other := machine.holder()) is not None):
                self.waits_for = self.waits_for or other or "?"
                continue
            self._start(job)
            running.append(job)

    def _start(self, job: Job) -> None:
        folder = self.folder / job.id
        with (folder / "log.txt").open("ab") as log:
            self._children[job.id] = subprocess.Popen(
                [sys.executable, "-m", "packshot.studio.job_process", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.workspace.folder,
                start_new_session=True,
            )

    def _read(self, folder: Path) -> Job | None:
        job = self._over.get(folder.name) or self._read_anew(folder)
        if job and job.is_over:
            self._over[job.id] = job
        return job

    def _read_anew(self, folder: Path) -> Job | None:
        told = _record(folder / "job.json")
        try:
            told["arguments"] = tuple(told["arguments"])
            job = Job(**told)
        except (KeyError, TypeError):
            return None
        run = _record(folder / "run.json")
        process = process_of(run) if run else None  # first: what ends meanwhile has said how
        end = _record(folder / "end.json")
        was_asked = (folder / "stop.json").exists()
        state: State = "waiting"
        if end:
            state = _ended(end.get("code"), was_asked)
        elif run:
            state = "running" if process else _ended(None, was_asked)
        progress = _record(folder / "progress.json") if run else {}
        return Job(
            **asdict(job)
            | {
                "state": state,
                "started": float(run.get("at", 0.0)),
                "ended": float(end.get("at", 0.0)),
                "what": str(progress.get("what", "")),
                "done": int(progress.get("done", 0)),
                "total": int(progress.get("total", 0)),
                "note": str(progress.get("note", "")),
                "stopping": state == "running" and was_asked,
            }
        )

    def _write(self, job: Job, **changed: Any) -> None:
        kept = (
            "id", "project", "kind", "arguments", "heavy", "position", "created", "scratch",
            "name",
        )  # fmt: skip
        values = asdict(job) | changed
        files.write_json(self.folder / job.id / "job.json", {name: values[name] for name in kept})

    def _clear(self, job: Job) -> None:
        """Delete what was sent for an ended job, once: a later job may have a folder of that name."""
        shutil.rmtree(job.scratch, ignore_errors=True)
        with contextlib.suppress(PackshotError):  # the disk may be full: next time, then
            self._write(job, scratch="")
        self._over.pop(job.id, None)

    def _remove(self, job: Job) -> None:
        self._over.pop(job.id, None)
        if job.scratch:
            shutil.rmtree(job.scratch, ignore_errors=True)
        shutil.rmtree(self.folder / job.id, ignore_errors=True)


def _ended(code: object, was_asked: bool) -> State:
    if code == 0:
        return "done"
    if code == 3:
        return "partly"
    return "stopped" if code in (130, 143) or was_asked else "failed"


def _record(file: Path) -> dict[str, Any]:
    try:
        value = reading.read_json(file)
    except PackshotError:
        return {}
    return value if isinstance(value, dict) else {}
