import pytest

from packshot.errors import PackshotError
from packshot.utils import files, reading


def test_json_lines_skip_a_torn_last_line(tmp_path):
    log = tmp_path / "log"
    assert reading.read_json_lines(log) == []
    log.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert reading.read_json_lines(log) == [{"a": 1}, {"a": 2}]
    log.write_bytes('{"a": 1}\n{"a": "è'.encode()[:-1])
    assert reading.read_json_lines(log) == [{"a": 1}]


def test_of_a_log_its_end_is_read(tmp_path):
    log = tmp_path / "log"
    assert reading.read_end(log, 10) == "" and reading.read_end(tmp_path, 10) == ""
    log.write_text("begun\nfirst\nsecond\n")
    assert reading.read_end(log, 100) == "begun\nfirst\nsecond\n"
    assert reading.read_end(log, 7) == "second\n"


def test_json_lines_are_read_as_they_were_written(tmp_path):
    rows = [{"a": "è\u2028\x85"}, {"a": 'x, "y"\nz'}]
    files.write_json_lines(tmp_path / "rows", iter(rows))
    assert reading.read_json_lines(tmp_path / "rows") == rows


def test_broken_toml_names_the_file_and_line(tmp_path):
    (tmp_path / "a.toml").write_text("x = \n")
    with pytest.raises(PackshotError, match=r"a\.toml is not valid TOML.*line 1"):
        reading.read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_toml_as_windows_editors_save_it(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "a.toml").write_bytes(f'{mark}x = "là"\r\n'.encode(encoding))
    assert reading.read_toml(tmp_path / "a.toml") == {"x": "là"}


def test_toml_of_another_encoding_is_told(tmp_path):
    (tmp_path / "a.toml").write_bytes('x = "là"'.encode("cp1252"))
    with pytest.raises(PackshotError, match=r"a\.toml .* Save it again as UTF-8"):
        reading.read_toml(tmp_path / "a.toml")
