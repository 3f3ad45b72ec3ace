"""The view of a catalogue: what is shown first, what is decided, and that the next start goes by it."""

import json
import re
import shutil

import pytest

from packshot.catalog.outcome import Outcome, thumbnail_of
from packshot.catalog.verdicts import Verdict, as_decided, is_aside, read_verdict, read_verdicts
from packshot.studio.app import Studio
from packshot.studio.security import Gate
from packshot.studio.workspace import Workspace
from packshot.utils import files
from tests.studio.conftest import HOST, Client
from tests.studio.goods import OUTCOMES, product, results, write_catalogue
from tests.studio.test_security import HOSTILE, TRAVERSALS


@pytest.fixture
def at(workspace, catalogue):
    [id] = workspace.catalogues()
    return f"/c/{id}"


def names(page):
    return re.findall(r"<h2>(?:<a[^>]*>)?([^<]+)<", page)


def decide(studio, at, product, what, **given):
    mark = next((one.mark for one in OUTCOMES if one.id == product), "")
    return studio.post(f"{at}/verdict", {"product": product, "what": what, "mark": mark} | given)


def test_it_is_in_the_list_of_projects_and_what_needs_a_look_comes_first(studio, at):
    page = studio.get("/").text
    assert f'href="{at}"' in page and "6 products · 4 to look at" in page
    assert "spring" in studio.get(at).text
    shown = studio.get(f"{at}/list").text
    assert names(shown) == ["Broken", "Checked", "Unlike", "Fine"]
    assert "3 of 6 made · 1 in the making" in shown and "no photo is usable" in shown
    assert names(studio.get(f"{at}/list?show=coming").text) == ["Making", "Waits"]
    assert "Nothing is decided yet" in studio.get(f"{at}/list?show=decided").text


def test_figures_are_told_with_how_sure_they_are(studio, at):
    page = studio.get(f"{at}/list").text
    assert "0.40" in page and "0.35 to 0.44" in page and "30 min 00 s" in page and "1.50" in page
    assert "It may look less like" in page or "less like your product" in page  # of the check
    assert '<span class="muted">snow.png</span>' in page


def test_what_is_decided_is_gone_by_in_the_next_start(studio, at, catalogue):
    decide(studio, at, "unlike", "again", time="1200s")
    decide(studio, at, "broken", "aside")
    decide(studio, at, "fine", "approve")
    assert names(studio.get(f"{at}/list").text) == ["Checked"]
    assert "make it again" not in studio.get(f"{at}/list?show=decided").text.lower()
    coming = studio.get(f"{at}/list?show=coming").text
    assert "Unlike" in names(coming) and "with more time: 20 min 00 s" in coming
    verdicts = read_verdicts(catalogue)
    table = [product(name) for name in ("unlike", "broken", "fine")]
    started = as_decided(table, verdicts)
    assert [one.choices.time_budget for one in started] == ["1200s", "10m", "10m"]
    assert [is_aside(one, verdicts) for one in started] == [False, True, False]
    anew = Outcome("unlike", "done", 60.0, tries=1, likeness=0.7, mark="anew")
    fine = next(outcome for outcome in OUTCOMES if outcome.id == "fine")
    made = results(catalogue, started, verdicts)
    for outcome in (anew, fine):
        made.add(outcome)
    made.write()
    assert names(studio.get(f"{at}/list").text) == ["Unlike"], "it is looked at once more"
    assert set(names(studio.get(f"{at}/list?show=decided").text)) == {"Broken", "Fine"}


def test_what_was_decided_can_be_undone_and_taken_back(studio, at, catalogue):
    told = decide(studio, at, "unlike", "again", time="none")
    assert "with more time: the whole recipe" in told.text
    assert told.headers["hx-trigger"] == "catalogue-changed"
    undo = re.search(r'hx-post="(/undo/[^"]+)"', told.text)[1]
    studio.post(undo)
    assert read_verdict(catalogue, "unlike") == Verdict()
    decide(studio, at, "unlike", "again", time="1200s")
    decide(studio, at, "unlike", "back")
    assert read_verdict(catalogue, "unlike").time_budget == ""
    decide(studio, at, "fine", "aside")
    decide(studio, at, "fine", "back")
    assert read_verdict(catalogue, "fine") == Verdict()


def test_what_was_decided_before_it_was_set_aside_stands_again_once_that_is_taken_back(
    studio, at, catalogue
):
    decide(studio, at, "fine", "approve")
    decide(studio, at, "unlike", "again", time="1200s")
    for id in ("fine", "unlike"):
        before = read_verdict(catalogue, id)
        decide(studio, at, id, "aside")
        assert read_verdict(catalogue, id).state == "aside"
        decide(studio, at, id, "back")
        assert read_verdict(catalogue, id) == before


def test_a_time_of_ones_own_is_given_if_it_is_longer(studio, at, catalogue):
    decide(studio, at, "broken", "again", time=" 1h30m ")
    assert read_verdict(catalogue, "broken") == Verdict(time_budget="1h30m")
    for time, said in (("9m", "cannot be decided"), ("soon", "is not a time; write 90s")):
        answer = decide(studio, at, "unlike", "again", time=time)
        assert answer.status_code == 422 and said in answer.text
    assert read_verdict(catalogue, "unlike") == Verdict()


def test_approving_what_had_more_time_keeps_it_so(studio, at, catalogue):
    """Else the next start would make it with the table's time, which is less."""
    decide(studio, at, "unlike", "again", time="1200s")
    rows = json.loads((catalogue / "results.json").read_text())
    for row in rows:
        if row["id"] == "unlike":
            row |= {"time_budget": "1200s", "mark": "anew"}
    files.write_json(catalogue / "results.json", rows)
    decide(studio, at, "unlike", "approve", mark="anew")
    verdict = read_verdict(catalogue, "unlike")
    assert (verdict.state, verdict.time_budget) == ("approved", "1200s")
    decide(studio, at, "unlike", "back", mark="anew")
    assert read_verdict(catalogue, "unlike").time_budget == "1200s"


@pytest.mark.parametrize(
    "given",
    [
        {"what": "approve", "mark": "another result"},
        {"what": "approve", "product": "broken", "mark": ""},
        {"what": "again", "time": "5s"},
        {"what": "again", "time": "--help"},
        {"what": "again"},
        {"what": "delete"},
        {"product": "nobody"},
        {"product": "../../fine"},
        {},
    ],
)
def test_what_cannot_be_decided_is_told(studio, at, catalogue, given):
    answer = studio.post(f"{at}/verdict", {"product": "unlike", "mark": "u1"} | given)
    assert answer.status_code in (404, 422) and 'role="alert"' in answer.text
    assert read_verdicts(catalogue) == {}


def test_a_page_of_another_site_decides_nothing(studio, at, catalogue):
    forged = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    given = {"product": "fine", "what": "aside", "mark": "f1"}
    assert studio.post(f"{at}/verdict", given, headers=forged).status_code == 403
    assert read_verdicts(catalogue) == {}


def test_pictures_and_logs_are_those_of_listed_products(studio, at, catalogue):
    answer = studio.get(f"{at}/pictures/fine")
    assert answer.headers["content-type"] == "image/webp" and answer.content[8:12] == b"WEBP"
    assert studio.get(f"{at}/pictures/waits").status_code == 404
    files.write_text(catalogue / "logs" / "broken.log", f"2026 no photo is usable {HOSTILE}\n")
    said = studio.get(f"{at}/logs/broken").text
    assert "no photo is usable" in said and "<script>alert" not in said
    for name in TRAVERSALS:
        for kind in ("pictures", "logs"):
            answer = studio.get(f"{at}/{kind}/{name.replace('?', '')}")
            assert answer.status_code in (307, 400, 404, 422) and "[subject]" not in answer.text


@pytest.mark.parametrize("folder", ["thumbnails", "logs", "verdicts", "products"])
def test_a_link_out_of_the_catalogue_is_not_followed(studio, at, catalogue, tmp_path, folder):
    secret = tmp_path / "secret"
    shutil.rmtree(catalogue / folder, ignore_errors=True)
    secret.mkdir()
    thumbnail = thumbnail_of(tmp_path, "fine")
    files.write_text(secret / "fine.log", "a secret")
    files.write_text(secret / thumbnail.name, "a secret")
    (catalogue / folder).symlink_to(secret)
    for address in ("/list", "/pictures/fine", "/logs/fine"):
        assert "a secret" not in studio.get(at + address).text
    decide(studio, at, "fine", "aside")
    assert not (secret / "fine.json").exists() or folder != "verdicts"


def test_results_that_are_none_are_told(studio, workspace, at, catalogue):
    (catalogue / "results.json").write_text('[{"id": "../../../etc"}]')
    assert "next start of the catalogue writes it anew" in studio.get("/").text
    answer = studio.get(f"{at}/list", headers={"accept-language": "it"})
    assert answer.status_code == 422 and "Il prossimo avvio del catalogo" in answer.text
    assert studio.get("/c/nothing").status_code == 404


def test_names_are_no_markup(studio, workspace, at, catalogue):
    odd = results(catalogue, [product("odd", HOSTILE[:80])], {})
    odd.add(Outcome("odd", "failed", fault=HOSTILE, tries=1))
    odd.write()
    page = studio.get(f"{at}/list").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page and "{{7*7}}" in page


def test_a_product_opens_as_the_project_that_it_is(studio, workspace, at, catalogue):
    page = studio.get(f"{at}/list").text
    address = re.search(r'<h2><a href="([^"]+)">Fine<', page)[1]
    photos = studio.get(address)
    assert photos.status_code == 200 and f'href="{at}"' in photos.text
    id = address.split("/")[2]
    assert workspace.id_of(workspace.open(id).root) == id
    studio.post(f"/p/{id}/photos/captions")
    assert list(workspace.projects()) == []
    for wrong in (f"{id}x", f"{id.partition('.')[0]}.", "x.fine", f"{id.partition('.')[0]}.%2e%2e"):
        assert studio.get(f"/p/{wrong}/photos").status_code == 404


def test_a_catalogue_itself_can_be_opened(made_project, tmp_path):
    folder = write_catalogue(tmp_path / "spring", made_project)
    workspace = Workspace(folder)
    client = Client(Studio(workspace, Gate(frozenset({HOST}))))
    [id] = workspace.catalogues()
    assert (
        "Unlike" in client.get(f"/c/{id}/list").text and f'href="/c/{id}"' in client.get("/").text
    )
    fine = workspace.open(f"{id}.fine")
    assert fine.root == folder / "products" / "fine" and workspace.id_of(fine.root) == f"{id}.fine"


def test_the_table_has_what_is_decided_by_now(studio, at):
    decide(studio, at, "fine", "approve")
    answer = studio.get(f"{at}/results.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    told = dict((line.split(",")[0], line.split(",")[-1]) for line in answer.text.splitlines())
    assert told["verdict" if "verdict" in told else "id"] == "verdict"
    assert (told["fine"], told["unlike"]) == ("approved", "none")


def test_new_results_are_noticed_once(studio, at, catalogue):
    watch = studio.studio.watch
    studio.get(f"{at}/list")
    assert watch.changed() == set()
    files.write_text(catalogue / "results.json", "[]")
    assert watch.changed() == {at.rpartition("/")[2]} and watch.changed() == set()
    shutil.rmtree(catalogue)
    assert watch.changed() == set()


def test_of_thousands_only_some_are_shown_and_more_when_asked(studio, at, catalogue):
    many = [product(f"p{n:04}") for n in range(3000)]
    told = results(catalogue, many, {})
    for one in many:
        told.add(Outcome(one.id, "done", 60.0, tries=1, mark=one.id))
    told.write()
    page = studio.get(f"{at}/list").text
    assert len(names(page)) == 60 and "Show 60 more" in page
    assert len(names(studio.get(f"{at}/list?shown=120").text)) == 120
    for nonsense in ("x", "-1", "²", "9" * 9):
        assert len(names(studio.get(f"{at}/list?shown={nonsense}").text)) == 60
