import json
import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from packshot.utils import files, serialization


def test_safetensors_round_trip_makes_contiguous(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3).T
    files.write_safetensors(tmp_path / "t.safetensors", {"t": tensor}, {"k": "v"})
    assert torch.equal(load_file(tmp_path / "t.safetensors")["t"], tensor)


DTYPES = [getattr(torch, name) for name in serialization._DTYPES]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (2, 3, 1)])
def test_the_library_reads_the_tensors_that_were_written(tmp_path, dtype, shape):
    path = tmp_path / "t.safetensors"
    given = {
        "b é": torch.full(shape, 3).to(dtype), "a": torch.rand(5) > 0.5,
        "c": torch.randn(3, 2, dtype=torch.float64).T,
    }  # fmt: skip
    files.write_safetensors(path, given, {"title": "\u00e9\n", "a": "1"})
    for name, tensor in load_file(path).items():
        assert tensor.dtype == given[name].dtype and torch.equal(tensor, given[name])
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"title": "\u00e9\n", "a": "1"}
        assert set(file.keys()) == given.keys()
    assert path.read_bytes() == b"".join(
        serialization.safetensors_parts(
            dict(reversed(given.items())), {"a": "1", "title": "\u00e9\n"}
        )
    )


def test_a_file_of_one_dtype_is_the_librarys_own(tmp_path):
    given = {name: torch.randn(3, 2) for name in "cab"}
    theirs = save(given)
    ours = b"".join(serialization.safetensors_parts(given))
    start = 8 + int.from_bytes(ours[:8], "little")
    assert ours[:8] == theirs[:8] and ours[start:] == theirs[start:]
    assert json.loads(ours[8:start]) == json.loads(theirs[8:start])


def test_what_is_saved_is_not_copied():
    given = torch.zeros(1000)
    header, data = serialization.safetensors_parts({"a": given})
    given += 1
    assert bytes(data) == given.numpy().tobytes() and len(header) % 8 == 0


def test_image_format_follows_the_ending(tmp_path):
    files.write_image(tmp_path / "a.jpg", Image.new("RGB", (4, 4)), quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"


@hypothesis.given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=10,
    )
)
def test_json_holds_no_number_that_others_cannot_read(value):
    def odd(name):
        raise ValueError(name)

    def same(read, given):
        match given:
            case dict():
                return read.keys() == given.keys() and all(same(read[k], given[k]) for k in given)
            case list() | tuple():
                return len(read) == len(given) and all(map(same, read, given))
            case float() if not math.isfinite(given):
                return read is None
        return read == given

    assert same(json.loads(serialization.as_json(value), parse_constant=odd), value)


def test_what_is_not_finite_is_null_in_every_file(tmp_path):
    files.write_json(tmp_path / "a", {"limits": (-math.inf, 1.0), "nan": [math.nan]})
    assert json.loads((tmp_path / "a").read_text()) == {"limits": [None, 1.0], "nan": [None]}
    files.write_json_lines(tmp_path / "b", [{"a": math.inf}])
    assert (tmp_path / "b").read_text() == '{"a": null}\n'
