"""The queue: what runs, what waits and in which order, and what has ended, with its words."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from packshot.errors import PackshotError
from packshot.project import Project
from packshot.studio.jobs import Job
from packshot.studio.pages import Visit, view


@view("/queue")
def show(visit: Visit) -> Response:
    """The panel of all jobs."""
    return _panel(visit)


@view("/queue/{job}/move", "POST")
def move(visit: Visit) -> Response:
    """Move a waiting job up or down."""
    by = 1 if visit.value("by") == "1" else -1
    visit.studio.queue.move(visit.request.path_params["job"], by)
    return _panel(visit)


@view("/queue/{job}/stop", "POST")
def stop(visit: Visit) -> Response:
    """Stop a job, or take it out of the queue."""
    visit.studio.queue.stop(visit.request.path_params["job"])
    return _panel(visit)


@view("/queue/{job}/forget", "POST")
def forget(visit: Visit) -> Response:
    """Drop an ended job from the list."""
    visit.studio.queue.forget(visit.request.path_params["job"])
    return _panel(visit)


@view("/queue/{job}/log")
def log(visit: Visit) -> Response:
    """What a job has said."""
    queue, id = visit.studio.queue, visit.request.path_params["job"]
    job = queue.get(id)
    command = f"packshot {' '.join(job.arguments)}"
    title = visit.t(f"jobs.kind.{job.kind}")
    return visit.page("log.html", title=title, log=f"{command}\n\n{queue.log(id)}")


@view("/p/{project}/jobs/{kinds}")
def strip(visit: Visit) -> Response:
    """How far a project's job of these kinds is, or why the last one failed, or what it has noted.

    When the job that the page has shown (`was`) is over, the page is told: `KIND-ended`.
    """
    queue, kinds = visit.studio.queue, visit.request.path_params["kinds"].split(",")
    job = queue.current(visit.project_id, *kinds)
    last = queue.latest(visit.project_id, *kinds)
    fault = queue.fault(last.id) if last and last.state == "failed" else ""
    response = visit.page(
        "_jobs.html",
        job=job,
        last=last,
        fault=fault,
        notes=queue.notes(last.id) if last and last.state in ("done", "partly") else [],
        shown_elsewhere=visit.value("shown_elsewhere", ""),
    )
    was = visit.value("was", "")
    if was and (not job or job.id != was):
        ended = next((one for one in queue.jobs(visit.project_id) if one.id == was), None)
        if ended:
            response.headers["HX-Trigger"] = f"{ended.kind}-ended"
    return response


def _panel(visit: Visit) -> Response:
    jobs = visit.studio.queue.jobs()
    names = {id: _name(root) for id, root in visit.studio.workspace.projects().items()}
    names |= {job.project: job.project.partition(".")[2] for job in jobs if "." in job.project}
    waiting = [job for job in jobs if job.state == "waiting"]
    ended = sorted((job for job in jobs if job.is_over), key=_ended_at, reverse=True)[:8]
    running = [job for job in jobs if job.state == "running"]
    return visit.page(
        "_queue.html", running=running, waiting=waiting, ended=ended, names=names,
        faults={job.id: visit.studio.queue.fault(job.id) for job in ended if job.state == "failed"},
    )  # fmt: skip


def _name(root: Path) -> str:
    """The product's name, or the folder's where its settings cannot be read."""
    try:
        return Project(root).subject.name
    except (PackshotError, OSError):
        return root.name


def _ended_at(job: Job) -> float:
    """When a job ended; of one that was killed at least when it began."""
    return job.ended or job.started


ROUTES = [show, move, stop, forget, log, strip]
