"""The frame: pages in both languages, and a server without PyTorch."""

import subprocess
import sys


def test_the_server_loads_no_torch():
    code = (
        "import sys; from packshot.studio import serve; "
        "print([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_first_visit_offers_a_project_and_the_sample(studio):
    page = studio.get("/").text
    assert "Your product, pictured anywhere" in page and "Open the sample" in page


def test_the_page_speaks_the_browsers_language_until_another_is_chosen(studio):
    italian = {"accept-language": "it-IT"}
    assert 'lang="it"' in studio.get("/", headers=italian).text
    chosen = studio.post("/preferences", {"language": "en"})
    assert chosen.headers["hx-refresh"] == "true"
    assert '<html lang="en">' in studio.get("/", headers=italian).text


def test_a_project_is_made_and_listed(studio, workspace):
    made = studio.post("/projects", {"name": "Café Kettle", "class_noun": "kettle"})
    assert (workspace.folder / "caf-kettle" / "packshot.toml").is_file()
    assert studio.get(made.headers["hx-redirect"]).status_code == 200
    assert "Café Kettle" in studio.get("/").text


def test_a_project_that_cannot_be_made_says_why(studio):
    answer = studio.post("/projects", {"name": "x" * 300, "class_noun": "kettle"})
    assert answer.status_code == 422 and 'role="alert"' in answer.text and "200" in answer.text


def test_a_broken_project_is_listed_with_its_fault(studio, project):
    project.settings_file.write_text("base = [")
    assert "packshot.toml" in studio.get("/").text
