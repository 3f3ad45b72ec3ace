"""Attacks that a page of another site, another program on this machine, or a project can try."""

import asyncio
import re
import socket
import urllib.parse

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from packshot.errors import StudioError
from packshot.studio import serve
from packshot.studio.app import Studio, create_app
from packshot.studio.pages import FORM_SECONDS, MAX_FORM_BYTES
from packshot.studio.security import Gate
from tests.studio.conftest import HOST

STRANGER = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}


@pytest.fixture
def stranger(studio):
    """A browser without a session."""
    return TestClient(studio.app, base_url=f"http://{HOST}", follow_redirects=False)


def routes(studio):
    """Every address that is answered, with a value for each of its parts."""
    for route in studio.app.routes:
        if getattr(route, "methods", None):
            parts = {name: "x" for name in route.param_convertors}
            yield str(route.url_path_for(route.name, **parts)), min(route.methods - {"HEAD"})


def test_without_a_session_nothing_is_answered(studio, stranger):
    asked = [one for one in routes(studio) if not one[0].startswith("/login")]
    assert len(asked) > 30
    for address, method in asked:
        answer = stranger.request(method, address, headers={"origin": f"http://{HOST}"})
        assert answer.status_code == 401, address


def test_a_page_that_a_former_studio_has_left_open_says_why_nothing_is_done(studio, stranger, at):
    headers = {"origin": f"http://{HOST}", "hx-request": "true", "accept-language": "it"}
    for method, path in (("POST", f"{at}/photos/mask"), ("GET", f"{at}/photos/list")):
        answer = stranger.request(method, path, headers=headers)
        assert answer.status_code == 401 and answer.headers["hx-retarget"] == "#notices"
        assert answer.headers["hx-reswap"] == "beforeend"  # though the button swaps nothing
        assert 'role="alert"' in answer.text and "mostrato nel terminale" in answer.text
    studio.studio.gate.password_hash = "x"
    assert "scrivi la password" in stranger.post(f"{at}/photos/mask", headers=headers).text


def test_the_token_gives_a_session_and_leaves_the_address(studio, stranger):
    answer = stranger.get(f"/?token={studio.studio.gate.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "x", "%00", "é", "a" * 9000])
def test_another_token_does_not(stranger, token):
    assert stranger.get("/", params={"token": token}).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8756", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8756",
     "127.0.0.1:8756.evil.example", "127.0.0.1:8756@evil.example", ""],
)  # fmt: skip
def test_a_forged_host_is_refused(studio, host):
    """DNS rebinding: another site's name that leads to this machine."""
    for path in ("/", "/static/studio.css", "/login", "/live"):
        assert studio.get(path, headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8756", "http://127.0.0.1:9999",
     "http://localhost:8756", "http://127.0.0.1:8756.evil.example", ""],
)  # fmt: skip
def test_a_forged_origin_changes_nothing(studio, workspace, origin):
    """Cross-site request forgery, though the browser brings the cookie."""
    data = {"name": "Kettle", "class_noun": "kettle"}
    answer = studio.post("/projects", data, headers={"origin": origin})
    assert answer.status_code == 403 and not workspace.projects()


def test_a_change_without_an_origin_is_refused_unless_the_browser_vouches(studio):
    studio.headers.pop("sec-fetch-site")
    assert TestClient.post(studio, "/preferences", data={"theme": "dark"}).status_code == 403
    vouched = {"sec-fetch-site": "same-origin"}
    assert TestClient.post(studio, "/preferences", data={}, headers=vouched).status_code == 204


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_cannot_embed_ours(studio, site):
    for mode in ("no-cors", "cors", "same-origin"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
        assert studio.get("/", headers=headers).status_code == 403


def test_every_answer_has_a_strict_policy(studio, at):
    for path in ("/", at + "/photos", "/static/studio.js", "/nothing", "/queue"):
        headers = studio.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


TRAVERSALS = [
    "../packshot.toml", "..%2fpackshot.toml", "%2e%2e/packshot.toml", "..\\packshot.toml",
    "....//packshot.toml", "..%252fpackshot.toml", "/etc/passwd", "%2fetc%2fpasswd",
    "photos/../packshot.toml", "photo-0.png/../../packshot.toml", "photo-0.png%00.toml", ".lock",
    "packshot.toml", "manifest.json", "refused.json", "~/.ssh/id_rsa", "file:///etc/passwd",
    "C:\\Windows\\win.ini", "..;/packshot.toml", "%c0%ae%c0%ae/packshot.toml",
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_what_a_project_lists(studio, at, name):
    encoded = urllib.parse.quote(name, safe="%")
    for address in (f"/pictures/photo/{name}", f"/pictures/photo/{encoded}", f"/cutouts/{encoded}",
                    f"/pictures/mask/{encoded}", f"/pictures/sample/{encoded}",
                    f"/pictures/class-image/{encoded}", f"/photos/{encoded}/card"):  # fmt: skip
        answer = studio.get(at + address)  # 307: to the address without the slash at its end
        assert answer.status_code in (307, 400, 404, 422) and "[subject]" not in answer.text
    for what in ("remove", "restore", "lock"):
        assert studio.post(f"{at}/photos/{encoded}/{what}").status_code in (400, 404, 405, 422)
    assert studio.put(f"{at}/photos/{encoded}/mask").status_code in (400, 404, 405, 422)


@pytest.mark.parametrize("id", ["..", "%2e%2e", "kettle", "../kettle", "0" * 12, "%00"])
def test_a_project_is_found_by_its_id_alone(studio, project, id):
    assert studio.get(f"/p/{id}/photos").status_code == 404


@pytest.mark.parametrize("id", ["..", "%2e%2e%2fkettle", "../../kettle", "x"])
def test_a_job_is_found_by_its_id_alone(studio, project, id):
    for answer in (studio.get(f"/queue/{id}/log"), studio.post(f"/queue/{id}/stop"),
                   studio.post(f"/queue/{id}/forget")):  # fmt: skip
        assert answer.status_code in (404, 422)
    assert project.settings_file.is_file()


def test_a_link_out_of_the_folder_is_no_project(studio, workspace, project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "packshot.toml").write_text(project.settings_file.read_text())
    (workspace.folder / "link").symlink_to(tmp_path / "elsewhere")
    assert list(workspace.projects().values()) == [project.root]


def test_a_link_out_of_a_project_is_not_followed(studio, project, at, tmp_path):
    secret = tmp_path / "secret.png"
    photo = project.photos_folder / "photo-0.png"
    photo.rename(secret)
    photo.symlink_to(secret)
    for address in ("/photos", "/pictures/photo/photo-0.png", "/photos/list"):
        answer = studio.get(at + address)
        assert answer.status_code == 422 and "PNG" not in answer.text[:8]


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"


def test_what_users_write_is_text_on_every_page(studio, workspace, project, at):
    for text in (HOSTILE,):
        made = studio.post("/projects", {"name": text, "class_noun": text[:80]})
        assert "hx-redirect" in made.headers
        studio.post(f"{at}/photos/photo-0.png/caption", {"caption": text})
    pages = [
        studio.get(path).text for path in ("/", made.headers["hx-redirect"], at + "/photos/list")
    ]
    notice = studio.post(f"{at}/photos/replace", {"old": HOSTILE + "x"}).text
    for page in (*pages, notice):
        assert "<script>alert" not in page and "<img src=x" not in page and "49" not in page
    assert "&lt;script&gt;alert(1)" in pages[0] and "&lt;script&gt;" in pages[2]


def test_metadata_from_the_network_is_text_and_its_links_are_of_the_web(studio, project, at):
    from packshot.class_images.online.candidate import Candidate
    from packshot.class_images.online.offers import write_offers
    from packshot.project import save_choices
    from packshot.settings import choices_of

    save_choices(project, choices_of(class_images=("openverse",)))
    write_offers(project, [
        Candidate(url="x", source="javascript:alert(1)", title=HOSTILE, author=HOSTILE,
                  licence_url=" javascript:alert(2)"),
        Candidate(url="y", source="https://example.org/1", title="fine"),
    ])  # fmt: skip
    page = studio.get(at + "/class-images/offers").text
    assert "javascript:" not in page and "<script>alert" not in page
    assert 'href="https://example.org/1" target="_blank" rel="noopener noreferrer"' in page


def test_a_form_that_is_too_large_is_refused(studio):
    answer = studio.post("/projects", content=b"name=" + b"x" * (MAX_FORM_BYTES + 1))
    assert answer.status_code == 422 and "too large" in answer.text
    answer = studio.post("/projects", content=b"&".join([b"a=1"] * 30_000))
    assert answer.status_code == 422


@pytest.mark.parametrize("body", [b"\xff\xfe", b"name=%ff", b"", b"{}", b"a" * 100])
def test_a_form_that_is_none_is_refused_in_words(studio, body):
    assert studio.post("/projects", content=body).status_code == 422


def test_the_password_lets_in_and_the_token_does_not(workspace):
    gate = Gate(
        frozenset({HOST}), PasswordHasher(time_cost=1, memory_cost=64).hash("correct horse")
    )
    client = TestClient(
        create_app(Studio(workspace, gate)), base_url=f"http://{HOST}", follow_redirects=False
    )
    own = {"origin": f"http://{HOST}"}
    assert client.get(f"/?token={gate.token}").headers["location"] == "/login"
    assert "wrong" not in client.get("/login").text
    wrong = client.post("/login", data={"password": "wrong horse"}, headers=own)
    assert wrong.status_code == 403 and gate.cookie not in wrong.headers.get("set-cookie", "")
    entered = client.post("/login", data={"password": "correct horse"}, headers=own)
    assert entered.headers["location"] == "/"
    assert client.get("/").status_code == 200


def test_listening_to_others_needs_a_password(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    for given in ("", "short"):
        monkeypatch.setenv("PACKSHOT_STUDIO_PASSWORD", given)
        with pytest.raises(StudioError, match="needs a password of at least 10"):
            serve.serve(tmp_path, listen="0.0.0.0", opens_browser=False)
    with pytest.raises(StudioError, match="write an address of this machine"):
        serve.serve(tmp_path, listen="example.org", opens_browser=False)


def test_a_client_that_says_nothing_is_let_go_and_keeps_nobody_out(served, monkeypatch):
    """Slow loris: many connections that never finish a request."""
    monkeypatch.setattr(serve, "HEADER_SECONDS", 0.2)
    port = int(served.split(":")[2].split("/")[0])

    async def attack():
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /static/icon.svg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        status = await reader.readline()
        ends = [await reader.read() for reader, _ in slow]  # until the server closes them
        return status, ends

    status, ends = asyncio.run(attack())
    assert b"200" in status and set(ends) == {b""}
    assert FORM_SECONDS <= 60


def test_two_studios_of_one_folder_and_a_port_that_is_taken_are_told(tmp_path):
    from packshot.errors import ProjectError
    from packshot.studio.workspace import Workspace
    from packshot.utils import locks

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StudioError, match=f"Port {port} of 127.0.0.1 cannot be had"):
            serve.serve(tmp_path / "new", port=port, opens_browser=False, say=list)
    assert (tmp_path / "new").is_dir()
    lock = Workspace(tmp_path / "new").state_folder / "lock"
    with locks.lock(lock), pytest.raises(ProjectError, match="in use by another Packshot"):
        serve.serve(tmp_path / "new", port=0, opens_browser=False, say=list)


def test_a_folder_of_somebody_elses_brings_no_commands(workspace, tmp_path):
    """The queue does not lie in it."""
    assert not workspace.state_folder.is_relative_to(workspace.folder)


def test_whoever_comes_as_soon_as_the_address_is_said_is_not_refused(tmp_path):
    met = []

    def say(line):
        address = re.search(r"http://([\d.]+):(\d+)/", line)
        if address:
            with socket.create_connection((address[1], int(address[2])), timeout=5) as caller:
                met.append(caller.getpeername())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve.serve(tmp_path / "new", port=0, opens_browser=False, say=say)
    assert met
