"""The queue: order, one heavy job at a time, and processes that outlive the studio."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from packshot.project import create_project
from packshot.studio import machine
from packshot.studio.jobs import JobError, JobQueue
from packshot.studio.process_marks import mark_of
from packshot.utils import files


@pytest.fixture
def queue(workspace):
    return JobQueue(workspace)


@pytest.fixture
def started(monkeypatch):
    """The ids of jobs in the order of their start; each is a process that sleeps until it is interrupted
    (what a process in the background has begun ignores that by itself)."""
    ids, real = [], subprocess.Popen

    def start(words, **options):
        ids.append(words[-1].rsplit("/", 1)[-1])
        code = (
            "import json, psutil, signal, time; from packshot.studio.process_marks import mark_of;"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"
            f"open({words[-1] + '/run.json'!r}, 'w').write(json.dumps("
            "mark_of(psutil.Process()) | {'at': 1})); time.sleep(60)"
        )
        return real([sys.executable, "-c", code], **options)

    monkeypatch.setattr("packshot.studio.jobs.subprocess.Popen", start)
    yield ids


@pytest.fixture
def other(workspace):
    return create_project(workspace.folder / "mug", name="Mug", class_noun="mug")


def until(true):
    while not true():
        time.sleep(0.02)


def states(queue):
    return [job.state for job in queue.jobs()]


def run_and_kill(queue, job):
    """Have a started job end as if the system had killed it."""
    until(lambda: queue.get(job.id).state == "running")
    os.kill(json.loads((queue.folder / job.id / "run.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: queue.tick() and queue.get(job.id).is_over)


def test_one_heavy_job_runs_at_a_time_in_their_order(queue, project, other, started):
    first, second = queue.add(project, "caption", "caption"), queue.add(other, "masks", "masks")
    queue.tick()
    queue.tick()
    assert started == [first.id]
    run_and_kill(queue, first)
    until(lambda: queue.tick() or started == [first.id, second.id])
    run_and_kill(queue, second)
    assert states(queue) == ["failed", "failed"]


def test_jobs_of_one_project_never_run_together_and_light_ones_pass_heavy_ones(
    queue, project, other, started
):
    heavy = queue.add(project, "train", "train")
    same = queue.add(project, "photos", "photos", "x", heavy=False)
    light = queue.add(other, "photos", "photos", "x", heavy=False)
    queue.tick()
    assert started == [heavy.id, light.id]
    run_and_kill(queue, heavy)
    queue.tick()
    assert started[2:] == [same.id]
    run_and_kill(queue, light)
    run_and_kill(queue, same)


def test_a_command_that_has_just_been_asked_for_is_queued_once(
    queue, project, other, started, monkeypatch
):
    job = queue.add(project, "caption", "caption")
    queue.tick()
    assert queue.add(project, "caption", "caption").id == job.id, "a double click"
    assert queue.add(other, "caption", "caption").id != job.id
    until(lambda: queue.get(job.id).state == "running")
    with monkeypatch.context() as clock:
        clock.setattr("packshot.studio.jobs.time.time", lambda: job.created + 2)
        waiting = queue.add(project, "caption", "caption")
        assert waiting.id != job.id, "there may be more photos than when it began"
        clock.setattr("packshot.studio.jobs.time.time", lambda: job.created + 9)
        assert queue.add(project, "caption", "caption").id == waiting.id
    run_and_kill(queue, job)


def test_the_order_can_be_changed_and_is_kept(queue, project, workspace):
    one, two, three = (queue.add(project, kind, kind) for kind in ("caption", "masks", "plan"))
    queue.move(three.id, -1)
    queue.move(one.id, -1)  # it is the first already
    assert [job.id for job in JobQueue(workspace).jobs()] == [one.id, three.id, two.id]
    queue.move(one.id, 1)
    assert [job.id for job in queue.jobs()] == [three.id, one.id, two.id]


def test_a_waiting_job_is_taken_out_with_what_was_sent_for_it(queue, project, tmp_path):
    (tmp_path / "sent").mkdir()
    job = queue.add(project, "photos", "photos", "x", scratch=tmp_path / "sent")
    queue.stop(job.id)
    assert queue.jobs() == [] and not (tmp_path / "sent").exists()
    with pytest.raises(JobError, match="not there any more"):
        queue.get(job.id)


def test_what_was_sent_for_a_job_outlives_an_ended_one_with_a_folder_of_that_name(
    queue, project, tmp_path
):
    def sent():
        (tmp_path / "sent").mkdir()
        return queue.add(project, "shoot", "shoot", scratch=tmp_path / "sent")

    ended = sent()
    files.write_json(queue.folder / ended.id / "end.json", {"code": 1, "at": 1.0})
    queue.tick()
    assert not (tmp_path / "sent").exists()
    sent()
    for again in (queue, JobQueue(queue.workspace)):
        again._start_next = lambda jobs: None
        again.tick()
        assert (tmp_path / "sent").exists()
    queue.forget(ended.id)
    assert (tmp_path / "sent").exists()


def test_a_studio_that_is_killed_leaves_its_job_and_the_next_finds_it(
    queue, project, workspace, started
):
    job = queue.add(project, "train", "train")
    queue.tick()
    until(lambda: queue.get(job.id).state == "running")
    again = JobQueue(workspace)  # as a studio that has just been started has it
    again.tick()
    assert (again.get(job.id).state, started) == ("running", [job.id])
    again.stop(job.id)
    assert again.get(job.id).stopping
    until(lambda: again.get(job.id).state == "stopped")
    queue.tick()


def test_a_process_that_was_given_the_same_id_is_not_taken_for_the_job(queue, project):
    job = queue.add(project, "train", "train")
    told = mark_of(psutil.Process()) | {"at": 1.0, "started": 1.0}
    files.write_json(queue.folder / job.id / "run.json", told)
    assert queue.get(job.id).state == "failed"
    queue.stop(job.id)  # and is not stopped


def test_a_job_is_done_once_whoever_starts_it(queue, project):
    job = queue.add(project, "caption", "caption", "--captioner", "plain")
    folder = queue.folder / job.id
    words = [sys.executable, "-m", "packshot.studio.job_process", str(folder)]
    first, second = (subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2))
    assert (first.wait(), second.wait()) == (0, 0)
    assert queue.get(job.id).state == "done"
    captions = [path.read_text() for path in project.photos_folder.glob("*.txt")]
    assert captions == ["a photo of ohwx kettle\n"] * 3


def test_what_a_command_has_noted_stands_on_the_page(studio, project, finished):
    queue = studio.studio.queue
    job = queue.add(project, "deliver", "caption", "--captioner", "plain")
    finished()
    with (queue.folder / job.id / "log.txt").open("a") as log:
        log.write("note: mug.jpg: looks soft\nnote: mug.jpg: looks soft\nnothing of note: here\n")
    assert queue.notes(job.id) == ["mug.jpg: looks soft"]
    at = f"/p/{job.project}/jobs"
    assert studio.get(f"{at}/deliver").text.count("looks soft") == 1
    assert "looks soft" not in studio.get(f"{at}/train").text
    queue.forget(job.id)
    assert "looks soft" not in studio.get(f"{at}/deliver").text


def test_how_a_command_ends_is_told_in_its_words(studio, project, finished):
    queue = studio.studio.queue
    queue.add(project, "caption", "caption", "--captioner", "nobody")
    job = finished()
    assert (job.state, job.started > 0, job.ended >= job.started) == ("failed", True, True)
    assert "nobody" in queue.fault(job.id) and not queue.fault(job.id).startswith("packshot:")
    page = studio.get("/queue").text
    assert "did not work" in page and "nobody" in page
    assert f'<p class="where">{project.subject.name}</p>' in page
    assert "nobody" in studio.get(f"/queue/{job.id}/log").text


def test_progress_is_told_and_the_page_learns_of_the_end(studio, project, at, finished, tmp_path):
    queue = studio.studio.queue
    job = queue.add(project, "photos", "photos", str(project.photos_folder), heavy=False)
    assert "waits its turn" in studio.get(f"{at}/jobs/photos").text
    ended = finished()
    assert (ended.state, ended.what, ended.done, ended.total) == ("done", "photos", 3, 3)
    answer = studio.get(f"{at}/jobs/photos,caption?was={job.id}")
    assert answer.headers["hx-trigger"] == "photos-ended"
    assert "hx-trigger" not in studio.get(f"{at}/jobs/photos,caption?was=").headers


def test_what_is_damaged_is_no_job(queue, project, workspace):
    job = queue.add(project, "train", "train")
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"id": 1}')):
        (queue.folder / name).mkdir()
        (queue.folder / name / "job.json").write_text(text)
    assert [one.id for one in queue.jobs()] == [job.id]


def test_a_tick_names_the_projects_whose_jobs_have_changed(queue, project, other, workspace):
    queue.add(project, "photos", "photos", "nowhere", heavy=False)
    assert queue.tick() == {workspace.id_of(project.root)}
    until(lambda: queue.jobs()[0].is_over or (queue.tick() and False))
    assert queue.tick() in (set(), {workspace.id_of(project.root)})
    assert queue.tick() == set()


def test_a_heavy_job_waits_for_another_studios_and_says_for_whose(studio, project, at):
    queue = studio.studio.queue
    job = queue.add(project, "caption", "caption", "--captioner", "plain")
    with machine.held("Mug (other-folder)"):
        queue.tick()
        assert queue.get(job.id).state == "waiting" and queue.waits_for == "Mug (other-folder)"
        for page in ("/queue", f"{at}/jobs/caption"):
            assert (
                "waits for another studio on this computer: Mug (other-folder)"
                in studio.get(page).text
            )
        light = queue.add(project, "photos", "photos", str(project.photos_folder), heavy=False)
        until(lambda: queue.tick() and queue.get(light.id).is_over)
    until(lambda: queue.tick() and queue.get(job.id).is_over)
    assert queue.get(job.id).state == "done" and machine.holder() is None


def test_a_heavy_job_that_was_begun_at_the_same_moment_waits_and_can_be_stopped(queue, project):
    job = queue.add(project, "caption", "caption", "--captioner", "plain")
    folder = queue.folder / job.id
    with machine.held("Mug"):
        words = [sys.executable, "-m", "packshot.studio.job_process", str(folder)]
        # As from a studio in the background, where a shell has Ctrl-C ignored.
        process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words])
        until(lambda: queue.get(job.id).what == "machine")
        assert (queue.get(job.id).state, queue.get(job.id).note) == ("running", "Mug")
        queue.stop(job.id)
        process.wait(timeout=60)
    assert queue.get(job.id).state == "stopped"
    assert not list(project.photos_folder.glob("*.txt"))


def test_a_machine_is_free_again_when_its_holder_is_killed():
    code = (
        "from packshot.studio import machine; import time\n"
        "with machine.held('x'): print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert machine.holder() == "x"
    process.kill()
    process.wait()
    process.stdout.close()
    assert machine.holder() is None


def test_a_job_that_has_begun_keeps_its_place_and_says_so(queue, project, started):
    job = queue.add(project, "train", "train")
    queue.tick()
    until(lambda: queue.get(job.id).state == "running")
    with pytest.raises(JobError, match="begun already"):
        queue.move(job.id, 1)
    run_and_kill(queue, job)


def test_a_job_that_ends_while_it_is_looked_at_has_ended_as_it_says(queue, project, monkeypatch):
    job = queue.add(project, "train", "train")
    folder = queue.folder / job.id
    files.write_json(folder / "run.json", {"pid": 1, "started": 1.0, "at": 1.0})

    def ends(mark):
        files.write_json(folder / "end.json", {"code": 0, "at": 2.0})

    monkeypatch.setattr("packshot.studio.jobs.process_of", ends)
    assert queue.get(job.id).state == "done"


@pytest.mark.parametrize(("is_marked", "state"), [(True, "running"), (False, "failed")])
def test_a_process_that_finds_the_job_begun_says_nothing_of_its_end(
    queue, project, is_marked, state
):
    job = queue.add(project, "caption", "caption", "--captioner", "plain")
    # Of a process that a studio has started which was killed since; empty after a power cut.
    mark = json.dumps(mark_of(psutil.Process()) | {"at": 1.0}) if is_marked else ""
    (queue.folder / job.id / "run.json").write_text(mark)
    queue._start(job)
    queue._children[job.id].wait()
    queue.tick()
    assert queue.get(job.id).state == state


def test_a_job_that_is_stopped_before_it_has_begun_does_not_begin(queue, project):
    job = queue.add(project, "caption", "caption", "--captioner", "plain")
    queue._start(job)
    queue.stop(job.id)
    queue._children[job.id].wait()
    queue.tick()
    assert queue.get(job.id).state == "stopped"
    assert not list(project.photos_folder.glob("*.txt"))


def test_a_killed_job_stands_among_the_newest_that_have_ended(studio, project):
    queue = studio.studio.queue
    for number in range(9):
        job = queue.add(project, "caption", "caption")
        folder = queue.folder / job.id
        told = {"pid": os.getpid(), "started": 1.0, "at": float(number + 1)}
        files.write_json(folder / "run.json", told)
        if number < 8:
            files.write_json(folder / "end.json", {"code": 0, "at": number + 1.5})
    assert f"/queue/{job.id}/log" in studio.get("/queue").text
