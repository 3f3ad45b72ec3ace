import pytest

from packshot.errors import PackshotError
from packshot.generation.prompts import class_prompts, default_prompts, notes_on, read_prompts
from packshot.settings import Subject


def test_prompts_are_read_line_by_line(tmp_path):
    (tmp_path / "p.txt").write_bytes("\ufeff# mine\n\n{subject} on a beach \n a car\n".encode())
    assert read_prompts(tmp_path / "p.txt") == ["{subject} on a beach", "a car"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"# none\n", "holds no prompts"), (b"\xff\xfe\x00", "cannot be read as text")],
)
def test_files_without_prompts_are_refused(tmp_path, content, words):
    (tmp_path / "p.txt").write_bytes(content)
    with pytest.raises(PackshotError, match=words):
        read_prompts(tmp_path / "p.txt")


def test_prompts_of_windows_editors_are_read(tmp_path):
    for encoding in ("utf-16", "utf-8-sig", "cp1252"):
        (tmp_path / "p.txt").write_bytes("è là\r\n".encode(encoding))
        assert read_prompts(tmp_path / "p.txt") == ["è là"]


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("a (red:1.3) car", "(red:1.3): words have no weights here"),
        ("a ((red)) car", "((red)): words have no weights"),
        ("(a, (b:0.8)), [red] (c:.5)", "(b:0.8), [red], (c:.5): words have no weights"),
        ("a car BREAK a house AND a tree", "BREAK, AND: a prompt is not divided"),
        ("a car <lora:my car_v2:0.8>", "<lora:my car_v2:0.8>: no LoRA is loaded by a prompt here"),
        ("<LYCO:x:1> <hypernet:y:1>", "<LYCO:x:1>: no LoRA"),
        ("<LYCO:x:1> <hypernet:y:1>", "<hypernet:y:1>: hypernetworks are not"),
        ("a [red:blue:0.5] [a|b] car", "[red:blue:0.5], [a|b]: a prompt is the same at every step"),
        ("a {red|blue} __place__ car", "{red|blue}, __place__: nothing is chosen"),
    ],
)
def test_syntax_of_other_programs_is_told(tiny_base, prompt, note):
    assert any(said.startswith(note) for said in notes_on(tiny_base, [prompt, "a car"]))


@pytest.mark.parametrize(
    "prompt", ["a car (side view), 16:9", "a BROKEN sand castle", "f/1.8: x", ""]
)
def test_plain_words_are_not_taken_for_syntax(tiny_base, prompt):
    assert notes_on(tiny_base, [prompt]) == []


def test_what_is_not_read_of_a_prompt_is_told(tiny_base):
    (note,) = notes_on(
        tiny_base, ["word " * 75 + "lost words", "a car", "word " * 75 + "lost words"]
    )
    assert note.startswith(f"{tiny_base.name} reads 77 tokens of a prompt; this one only up to “…")
    assert note.endswith("what follows is not used: “lost words”")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PackshotError, match=r"none\.txt cannot be read"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize("noun", ["suv", "teapot"])
def test_default_prompts_name_the_subject_and_class_prompts_do_not(noun):
    subject = Subject(name="A", trigger="ohwx", class_noun=noun)
    assert all(f"ohwx {noun}" in subject.fill(prompt) for prompt in default_prompts(subject))
    assert all(noun in prompt and "ohwx" not in prompt for prompt in class_prompts(noun))
