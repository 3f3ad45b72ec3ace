"""GGUF files: whole checkpoints around one, every type against others' arithmetic, and hostile ones."""

import random
import struct
import sys

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from packshot.errors import ModelLoadError
from packshot.models.checkpoint import detect_checkpoint
from packshot.weights import gguf_file
from packshot.weights.safetensors_file import check_safetensors
from tests.models.original_layout import ARCHITECTURES, laid_out, load

# How far weights may be from what they were, against the largest of their tensor.
ERRORS = {"F16": 1e-3, "BF16": 5e-3, "Q8_0": 0.01, "Q5_0": 0.07, "Q4_0": 0.13}


def write(file, tensors, kind, architecture="flux", **values):
    """As the converters of ComfyUI's users do: matrices in `kind` where it fits, the rest in fp32."""
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_array("some.names", ["one", "two"])
    writer.add_array("some.numbers", [1, 2, 3])
    for key, value in values.items():
        writer.add_uint32(f"general.{key}", value)
    for name, tensor in tensors.items():
        data = tensor.float().numpy()
        small = data.ndim != 2 or data.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]
        used = Kind.F32 if small else kind
        writer.add_tensor(name, gguf.quants.quantize(data, used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture
def quantised(parts, family, tmp_path):
    """Lays the checkpoint out with its transformer as a GGUF file of a type."""

    def make(kind):
        file = laid_out(parts, family, tmp_path)
        file.unlink()
        return write(file.with_suffix(".gguf"), parts[family], Kind[kind], ARCHITECTURES[family])

    return make


@pytest.mark.slow
@pytest.mark.parametrize("kind", ERRORS)
def test_the_parts_around_a_gguf_are_the_checkpoint(quantised, family, networks, kind):
    base = load(quantised(kind))
    assert base.family == family and base.name.startswith(f"my {family}")
    expected, found = networks["transformer"].state_dict(), base.transformer.state_dict()
    assert expected.keys() == found.keys()
    changed = 0
    for name, value in expected.items():
        error = (found[name] - value).abs().max()
        assert error <= ERRORS[kind] * value.abs().max(), name
        changed += bool(error)
    assert changed > 10, "or nothing was quantised"
    for name, encoder in base.text_encoders.items():
        ours, theirs = encoder.state_dict(), networks[name].state_dict()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_eight_bits_are_the_blocks_scale_times_their_numbers(tmp_path):
    """By the format's own definition: 32 numbers share a scale in fp16."""
    weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    found = gguf_file.read(write(tmp_path / "a.gguf", {"w": weight}, Kind.Q8_0))["w"]
    blocks = weight.reshape(3, 2, 32)
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    expected = (blocks / scale).round() * scale.half().float()
    assert found.dtype == torch.bfloat16 and found.shape == (3, 64)
    assert torch.equal(found, expected.reshape(3, 64).bfloat16())


@pytest.mark.parametrize(
    "name", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
)
def test_every_type_that_files_have_is_unpacked_as_diffusers_does(tmp_path, name):
    """Random bits for the numbers, plain ones for the scales in fp16."""
    from diffusers.quantizers.gguf.utils import GGUFParameter, dequantize_gguf_tensor

    block, width = gguf.GGML_QUANT_SIZES[Kind[name]]
    rows = np.random.default_rng(0).integers(0, 256, (4, 2 * width), dtype=np.uint8)
    places = {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,)}
    twice = name in ("Q4_K", "Q5_K", "Q4_1", "Q5_1")
    for start in (0, width):
        for place in places.get(name, (0, 2) if twice else (0,)):
            scale = np.array([0.0123 * (1 + place)], np.float16).view(np.uint8)
            rows[:, start + place : start + place + 2] = scale
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "flux")
    writer.add_tensor("w", rows, raw_dtype=Kind[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = gguf_file.read(tmp_path / "a.gguf")["w"]
    theirs = dequantize_gguf_tensor(GGUFParameter(torch.from_numpy(rows), quant_type=Kind[name]))
    assert found.shape == (4, 2 * block) and found.float().std() > 0
    error = (found.float() - theirs.float()).abs().max()
    assert error <= 0.005 * theirs.abs().max(), "theirs is in fp16"


def test_shapes_and_places_are_the_packages_own(quantised, family):
    file = quantised("Q8_0")
    theirs = {one.name: one for one in gguf.GGUFReader(file).tensors}
    ours = gguf_file.read_header(file)
    assert ours.keys() == theirs.keys()
    for name, stored in ours.items():
        assert stored.shape == tuple(reversed(theirs[name].shape.tolist()))
        assert (stored.start, stored.bytes) == (theirs[name].data_offset, theirs[name].n_bytes)


def test_alignment_is_taken_from_the_file(tmp_path):
    tensors = {"a": torch.arange(7.0), "b": torch.arange(5.0)}
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "flux")
    writer.add_custom_alignment(256)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = gguf_file.read(tmp_path / "a.gguf")
    assert all(torch.equal(tensor, found[name]) for name, tensor in tensors.items())


def test_the_hash_follows_the_weights(quantised):
    file = quantised("Q4_0")
    before = detect_checkpoint(file).content_hash
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert detect_checkpoint(file).content_hash != before


def test_without_the_package_it_is_named(quantised, monkeypatch):
    file = quantised("Q4_0")
    for name in [name for name in sys.modules if name.partition(".")[0] == "gguf"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModelLoadError, match=r'not installed: pip install "packshot\[gguf\]"'):
        detect_checkpoint(file)


def test_other_families_and_other_uses_are_refused(tmp_path):
    for key, words in (
        ("cond_stage_model.transformer.a", r"only the denoisers of transformer families"),
        ("token_embd.weight", r"something with keys such as 'token_embd\.weight'"),
    ):
        with pytest.raises(ModelLoadError, match=words):
            tensors = {key: torch.ones(2, 32), "first_stage_model.a": torch.ones(2)}
            detect_checkpoint(write(tmp_path / "a.gguf", tensors, Kind.F16))
    with pytest.raises(ModelLoadError, match="is a GGUF file; of those, only"):
        check_safetensors(tmp_path / "a.gguf")


def text(words):
    return struct.pack("<Q", len(words)) + words


def header(tensors=(), values=(), counts=None):
    count = counts or (len(tensors), len(values))
    return b"GGUF" + struct.pack("<IQQ", 3, *count) + b"".join(values) + b"".join(tensors)


def tensor(name=b"a", shape=(32,), kind=0, offset=0, dimensions=None):
    sides = struct.pack(f"<{len(shape)}Q", *shape)
    count = len(shape) if dimensions is None else dimensions
    return text(name) + struct.pack("<I", count) + sides + struct.pack("<IQ", kind, offset)


def value(kind, data, key=b"k"):
    return text(key) + struct.pack("<I", kind) + data


HOSTILE = {
    "2 to the 60th tensors": (header(counts=(2**60, 0)), "ends in its header"),
    "2 to the 60th values": (header(counts=(0, 2**60)), "ends in its header"),
    "a long name": (header([struct.pack("<Q", 2**40)]), "more than 16,777,216 bytes"),
    "a long name in the cap": (header([struct.pack("<Q", 2**20)]), "ends in its header"),
    "a long array": (header([], [value(9, struct.pack("<IQ", 0, 2**62))]), "more than"),
    "a long array of texts": (header([], [value(9, struct.pack("<IQ", 8, 2**62))]), "ends in"),
    "arrays in arrays": (header([], [value(9, struct.pack("<IQIQ", 9, 1, 9, 1))]), "KeyError"),
    "a value of no type": (header([], [value(77, b"")]), "KeyError"),
    "no alignment": (
        header([], [value(4, struct.pack("<I", 0), b"general.alignment")]), "ZeroDivisionError",
    ),
    "a type that is none": (header([tensor(kind=999)]), "999 is not a valid"),
    "many dimensions": (header([tensor(dimensions=2**31)]), "dimensions"),
    "an enormous shape": (header([tensor(shape=(2**62, 2**62))]), "reaches beyond its end"),
    "an offset outside": (header([tensor(offset=2**63)]), "reaches beyond its end"),
    "half a block": (header([tensor(shape=(33,), kind=8)]), "no whole blocks"),
    "one name twice": (header([tensor(), tensor()]), "share a name"),
    "many tensors in one place": (
        header([tensor(b"%d" % n, (900,)) for n in range(9)]), "overlap",
    ),
    "one tensor within another": (
        header([tensor(b"a", (64,)), tensor(b"b", (8,), offset=32)]), "overlap",
    ),
    "a name that is no text": (header([tensor(b"\xff\xfe")]), "UnicodeDecodeError"),
    "another version": (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version that is not known"),
    "another byte order": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version that is not known"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused_in_words(tmp_path, what):
    data, words = HOSTILE[what]
    (tmp_path / "a.gguf").write_bytes(data + bytes(4000))
    if "ends in" in words:
        (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(ModelLoadError, match=rf"a\.gguf is a GGUF file that cannot be.*{words}"):
        gguf_file.read_header(tmp_path / "a.gguf")


def test_cut_and_scrambled_files_are_refused_or_read_and_nothing_else(tmp_path):
    tensors = {"vector_in.a": torch.randn(4, 32), "double_blocks.0.b": torch.randn(64)}
    whole = write(tmp_path / "a.gguf", tensors, Kind.Q8_0, alignment=64).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(4, len(whole) - 64, 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError):
            detect_checkpoint(cut)
    chance = random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        cut.write_bytes(data)
        try:
            gguf_file.read(cut)
        except ModelLoadError as error:
            assert "cut.gguf is a GGUF file" in str(error)
