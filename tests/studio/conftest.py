"""A studio over a folder of projects: a client with a session, and a browser."""

import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from packshot.photos.photo_set import add_photos
from packshot.plan.config import Estimate, Plan, PlanInputs
from packshot.project import create_project
from packshot.studio.app import Studio, create_app
from packshot.studio.security import Gate
from packshot.studio.serve import StudioServer, hosts_at
from packshot.studio.workspace import Workspace
from tests.studio.browser import chromium, visit  # noqa: F401 - fixtures
from tests.studio.goods import write_catalogue
from tests.studio.pictures import write_photos

HOST = "127.0.0.1:8756"


class Client(TestClient):
    """A browser's requests: with a session, and what a browser says of where they come from."""

    def __init__(self, studio):
        super().__init__(create_app(studio), base_url=f"http://{HOST}", follow_redirects=False)
        self.cookies.set(studio.gate.cookie, studio.gate.session)
        self.studio = studio
        self.headers["sec-fetch-site"] = "same-origin"

    def post(self, address, data=None, **options):
        headers = {"origin": f"http://{HOST}", "hx-request": "true"} | options.pop("headers", {})
        return super().post(address, data=data, headers=headers, **options)

    def put(self, address, content=b"", **options):
        headers = {"origin": f"http://{HOST}"} | options.pop("headers", {})
        return super().put(address, content=content, headers=headers, **options)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "projects").mkdir()
    return Workspace(tmp_path / "projects")


@pytest.fixture
def studio(workspace):
    """A client with a session. The queue's jobs wait: nothing ticks."""
    return Client(Studio(workspace, Gate(frozenset({HOST}))))


@pytest.fixture(scope="session")
def made_project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    project = create_project(folder / "kettle", name="Kettle", class_noun="kettle")
    write_photos(folder / "photos", 3)
    add_photos(project, folder / "photos")
    return project


@pytest.fixture
def project(workspace, made_project):
    """A project of three photos in the workspace."""
    shutil.copytree(made_project.root, workspace.folder / "kettle")
    return type(made_project)(workspace.folder / "kettle")


@pytest.fixture
def catalogue(workspace, made_project):
    """The folder of a catalogue, beside the projects."""
    return write_catalogue(workspace.folder / "spring", made_project)


@pytest.fixture
def at(workspace, project):
    """The address of the project."""
    return f"/p/{workspace.id_of(project.root)}"


@contextmanager
def serving(workspace, password=None):
    """A studio that is served, and ticks, while the block runs: its address with the token."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        studio = Studio(workspace, Gate(hosts_at("127.0.0.1", port), password))
        server = StudioServer(studio)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}/?token={studio.gate.token}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def served(workspace):
    with serving(workspace) as address:
        yield address


@pytest.fixture
def finished(studio):
    """Lets the queue go on until no job of it waits or runs; the newest job then."""

    def wait():
        queue = studio.studio.queue
        while any(not job.is_over for job in queue.jobs()):
            queue.tick()
            time.sleep(0.05)
        queue.tick()
        return max(queue.jobs(), key=lambda job: job.created)

    return wait


@pytest.fixture
def planned():
    """A plan that makes sense."""
    return Plan(
        steps=10, effective_batch_size=4, resolution=64, target_modules="attention", rank=4, alpha=4,
        learning_rate=1e-4, class_image_ratio=0, precision="fp32", sample_every_n_steps=5,
        save_every_n_steps=5, seed=0,
        estimate=Estimate(seconds=60, bytes=2**30, class_images_seen=0, seconds_per_step=1),
        inputs=PlanInputs(
            base="b", photos="p", captions="c", class_images="i", subject="s", versions={}
        ),
    )  # fmt: skip
