import pytest

from packshot.errors import PackshotError
from packshot.generation.prompts import class_prompts, default_prompts, read_prompts
from packshot.project import Subject


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


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PackshotError, match=r"none\.txt cannot be read"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize("noun", ["suv", "teapot"])
def test_default_prompts_name_the_subject_and_class_prompts_do_not(noun):
    subject = Subject(name="A", trigger="ohwx", class_noun=noun)
    assert all(f"ohwx {noun}" in subject.fill(prompt) for prompt in default_prompts(subject))
    assert all(noun in prompt and "ohwx" not in prompt for prompt in class_prompts(noun))
