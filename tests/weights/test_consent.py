"""What a stranger's project would have fetched is asked for, once; what the user names is not."""

import sys

import pytest
from huggingface_hub import constants

from packshot import cli
from packshot.errors import UnaskedFetchError
from packshot.judging.judge import judge_for
from packshot.plan import load_base
from packshot.project import create_project, open_project, save_choices
from packshot.settings import choices_of
from packshot.utils import consent, files
from packshot.utils.progress import Observer
from packshot.weights.consent import require_consent
from packshot.workflow import end_to_end


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PACKSHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """A project as somebody else's machine has made it."""

    def make(**chosen):
        with monkeypatch.context() as there:
            there.setenv("PACKSHOT_CACHE", str(tmp_path / "theirs"))
            made = create_project(tmp_path / "p", name="Duster", class_noun="car", **chosen)
            files.write_bytes(made.lora_file, b"theirs")
        return open_project(made.root)

    return make


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base", "somebody/model"), ("base", "somebody/model@v2"), ("captioner", "somebody/words"),
        ("captioner", "blip:somebody/words"), ("segmenter", "birefnet:somebody/masks"),
        ("segmenter", "birefnet"),
        ("embedder", "somebody/clip"), ("class_images", ("openverse",)), ("class_images", ("list.csv",)),
    ],
)  # fmt: skip
def test_names_of_the_network_are_asked_for_once(strangers, key, value):
    project = strangers(**{key: value})
    name = value if isinstance(value, str) else value[0]
    with pytest.raises(
        UnaskedFetchError, match=rf"fetched from the network: {name} \({key.replace('_', ' ')}\)"
    ):
        require_consent(project, key)
    consent.agree(project.root, [name])
    require_consent(project, key)


def test_what_is_here_or_named_by_the_user_is_not_asked_for(strangers, tmp_path):
    (tmp_path / "folder").mkdir()
    here = strangers(base=str(tmp_path / "folder"), captioner="plain", segmenter="bundled")
    require_consent(here, "base", "captioner", "segmenter", "embedder", "class_images")
    save_choices(here, choices_of(base="my/own"))
    require_consent(here, "base")
    mine = create_project(tmp_path / "mine", name="D", class_noun="car", base="my/base")
    require_consent(mine, "base")
    (tmp_path / "hub" / "models--somebody--else").mkdir(parents=True)
    require_consent(here, captioner="somebody/else")
    with pytest.raises(UnaskedFetchError, match="somebody/new"):
        require_consent(here, captioner="somebody/new")


@pytest.mark.parametrize(
    "words", [("shoot", "a car"), ("plan",), ("train",), ("caption",), ("masks",)]
)
def test_each_command_asks_before_anything_is_fetched(strangers, monkeypatch, capsys, words):
    project = strangers(base="a/base", captioner="a/words", segmenter="a/masks")
    monkeypatch.setattr(sys, "argv", ["packshot", *words, "--project", str(project.root)])
    monkeypatch.setattr("packshot.weights.hub.file_sizes", lambda repo: pytest.fail("it asked"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and "names what is fetched from the network: a/" in told
    assert "name it yourself (--" in told


@pytest.mark.parametrize(
    ("words", "chosen", "names"),
    [
        ((), {"class_images": ("openverse",)}, "openverse (class images)"),
        (("--offers",), {"class_images": ("openverse",)}, "openverse (class images)"),
        ((), {"embedder": "a/clip"}, "a/clip (embedder)"),
    ],
)
def test_gathering_class_images_asks_too(
    strangers, monkeypatch, capsys, tmp_path, words, chosen, names
):
    dataset = tmp_path / "dataset"
    (dataset / "00000").mkdir(parents=True)
    (dataset / "00000_stats.json").write_text("{}")
    project = strangers(**{"class_images": (str(dataset),), **chosen})
    argv = ["packshot", "class-images", *words, "--contact", "a@b.org", "-p", str(project.root)]
    monkeypatch.setattr(sys, "argv", argv)
    for name in ("weights.hub.file_sizes", "class_images.online.collect._source"):
        monkeypatch.setattr(f"packshot.{name}", lambda *_: pytest.fail("it asked"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and f"names what is fetched from the network: {names}" in told


def test_judging_asks_for_what_finds_the_product(strangers, monkeypatch):
    project = strangers(segmenter="a/masks")
    monkeypatch.setattr("packshot.weights.hub.file_sizes", lambda repo: pytest.fail("it asked"))
    with pytest.raises(UnaskedFetchError, match=r"a/masks \(segmenter\)"):
        judge_for(project, None, None, None, Observer())


def test_the_whole_path_asks_for_all_at_once(strangers, monkeypatch, tmp_path):
    project = strangers(base="a/base", embedder="a/clip", class_images=("openverse",))
    with pytest.raises(UnaskedFetchError, match=r"a/base \(base\), a/clip \(embedder\), openverse"):
        end_to_end.run(tmp_path, root=project.root, choices=choices_of(captioner="plain"))


@pytest.mark.parametrize("answer", [True, False])
def test_in_a_terminal_it_may_be_answered(strangers, monkeypatch, capsys, answer):
    project = strangers(base="a/base")
    fetched = []

    def load(name, **options):
        fetched.append(name)
        raise SystemExit(0)

    monkeypatch.setattr(load_base, "load_base", load)
    monkeypatch.setattr(load_base, "find_checkpoint", load)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *words, **options: answer)
    monkeypatch.setattr(sys, "argv", ["packshot", "shoot", "a car", "-p", str(project.root)])
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == (0 if answer else 2)
    asked = capsys.readouterr().err.count("packshot.toml names what is fetched")
    assert (asked, fetched) == ((1, ["a/base"] * 2) if answer else (4, []))
