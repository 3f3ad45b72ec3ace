"""What is fuzzed, kind by kind: how inputs are made of whole ones, and what reads them."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.mutation import damaged, odd


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        prepare: makes in a folder what all cases begin from; returns what they share.
        case: makes one input in its own folder, and reads it as Packshot does.
    """

    prepare: Callable[[Path], Any]
    case: Callable[[Any, Path, Random], None]


def _seeds(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


# Pictures, videos, archives


def _picture_seeds(folder: Path) -> dict[str, bytes]:
    from tests.odd_files import corpus

    videos = (".mp4", ".mov", ".webm")
    whole = {name: data for name, data in corpus() if len(data) < 2**20}
    return {
        name: data
        for name, data in whole.items()
        if not name.startswith(("cut-", "mutant-")) and not name.endswith((*videos, ".zip"))
    }


def _read_picture(seeds: dict[str, bytes], folder: Path, draw: Random) -> None:
    from packshot.errors import PackshotError
    from packshot.images import loading, masks, quality
    from packshot.insertion.background import load_background

    name = draw.choice(list(seeds))
    file = folder / ("x" + Path(name).suffix)
    file.write_bytes(damaged(seeds[name], draw))
    for read in (
        lambda: quality.sharpness(loading.read_picture(file).image),
        lambda: loading.header_size(file),
        lambda: loading.open_image(file).load(),
        lambda: masks.read_mask(file, (192, 160)),
        lambda: load_background(file),
    ):
        with contextlib.suppress(PackshotError):
            read()


def _archive_seeds(folder: Path) -> dict[str, bytes]:
    from tests.odd_files import corpus, encoded, painted, zipped

    inner = [(f"a/{number}.png", encoded(painted(number), "PNG")) for number in range(3)]
    seeds = {name: data for name, data in corpus() if name.endswith(".zip") and len(data) < 2**20}
    return seeds | {
        "stored.zip": zipped(*inner),
        "deflated.zip": zipped(*inner, compression=zipfile.ZIP_DEFLATED),
        "lzma.zip": zipped(*inner, compression=zipfile.ZIP_LZMA),
        "bzip2.zip": zipped(*inner, compression=zipfile.ZIP_BZIP2),
        "captions.zip": zipped(*inner, ("a/0.txt", b"ohwx car")),
    }


def _read_archive(seeds: dict[str, bytes], folder: Path, draw: Random) -> None:
    from packshot.images.sources import unpacked

    files = []
    for number in range(draw.choice((1, 1, 3))):
        files.append(folder / f"{number}.zip")
        files[-1].write_bytes(damaged(seeds[draw.choice(list(seeds))], draw))
    with unpacked(files) as (pictures, _):
        for picture in pictures:
            picture.read_bytes()


# Weights


def _safetensors_seeds(folder: Path) -> tuple[Any, dict[str, bytes]]:
    import torch
    from safetensors.torch import load_file, save

    from packshot.lora import Lora, LoraWeights
    from packshot.lora.files import write_lora
    from packshot.models.load import load_base
    from tests.families import make_tiny_sd1

    base = load_base(make_tiny_sd1(folder / "base"), device="cpu", dtype=torch.float32)
    weights = {}
    for name in base.lora_targets("attention")[:6]:
        shape = base.denoiser.get_submodule(name).weight.shape
        weights[f"unet.{name}"] = LoraWeights(torch.ones(2, shape[1]), torch.ones(shape[0], 2), 1.0)
    for form in ("kohya", "diffusers"):
        write_lora(
            Lora(weights, {"modelspec.title": "x"}), folder / f"{form}.safetensors", base, form
        )
    settings = {"unet.lora_alpha": 3, "unet.r": 2, "unet.alpha_pattern": {"^a.*b": 1, "to_q": 4}}
    tensors = load_file(folder / "diffusers.safetensors")
    told = {"lora_adapter_metadata": json.dumps(settings)}
    (folder / "settings.safetensors").write_bytes(save(tensors, told))
    for name, values in {
        "half": torch.float16,
        "brain": torch.bfloat16,
        "long": torch.int64,
    }.items():
        tensors = {"a.weight": torch.ones(3, 4).to(values), "b": torch.zeros(2, 0, 3).to(values)}
        (folder / f"{name}.safetensors").write_bytes(save(tensors, {"x": "y"}))
    return base, _seeds(folder)


def _with_header(data: bytes, draw: Random) -> bytes:
    """A safetensors file whose header says something odd, in JSON as before."""
    size = int.from_bytes(data[:8], "little")
    header = odd(json.loads(data[8 : 8 + size]), draw)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _read_safetensors(shared: tuple[Any, dict[str, bytes]], folder: Path, draw: Random) -> None:
    from packshot.errors import PackshotError
    from packshot.lora import load_lora
    from packshot.lora.info import read_info
    from packshot.models.checkpoint import detect_checkpoint
    from packshot.weights import safetensors_file

    base, seeds = shared
    data = seeds[draw.choice(list(seeds))]
    file = folder / "x.safetensors"
    file.write_bytes(_with_header(data, draw) if draw.random() < 0.5 else damaged(data, draw))
    for read in (
        lambda: safetensors_file.read_safetensors(file),
        lambda: read_info(file),
        lambda: load_lora(file, base),
        lambda: detect_checkpoint(file),
    ):
        with contextlib.suppress(PackshotError):
            read()


def _gguf_seeds(folder: Path) -> dict[str, bytes]:
    import torch
    from gguf import GGMLQuantizationType as Kind

    from tests.models.test_gguf_file import write

    names = ("double_blocks.0.img_attn.qkv.weight", "img_in.weight", "img_in.bias")
    tensors = dict(
        zip(names, (torch.ones(64, 64), torch.ones(32, 64), torch.ones(32)), strict=True)
    )
    for kind in ("F16", "BF16", "Q8_0", "Q4_0", "Q5_0"):
        write(folder / f"{kind}.gguf", tensors, Kind[kind])
    return _seeds(folder)


def _read_gguf(seeds: dict[str, bytes], folder: Path, draw: Random) -> None:
    from packshot.errors import PackshotError
    from packshot.models.checkpoint import detect_checkpoint
    from packshot.weights import gguf_file

    file = folder / "x.gguf"
    file.write_bytes(damaged(seeds[draw.choice(list(seeds))], draw))
    for read in (gguf_file.read_header, gguf_file.read, detect_checkpoint):
        with contextlib.suppress(PackshotError):
            read(file)


def _onnx_seeds(folder: Path) -> dict[str, bytes]:
    from tests.masks.tiny_segmenters import PICTURE, node, save_apart, save_onnx, summing

    summing(folder / "u2net.onnx", PICTURE, [0.2, 0.3, 0.5])
    save_onnx(folder / "sigmoid.onnx", [node("Sigmoid", "input")])
    save_apart(folder / "apart", "weights.bin", "model.onnx")
    seeds = _seeds(folder)
    return seeds | {"apart.onnx": (folder / "apart" / "model.onnx").read_bytes()}


_OPERATORS = (
    "Conv", "Sigmoid", "Expand", "Tile", "Reshape", "Loop", "If", "Scan", "Cast", "Gather", "Pad", "MatMul",
    "ConstantOfShape", "Resize", "Concat", "Range", "NonZero", "OneHot", "TopK", "Identity", "Shape",
)  # fmt: skip
_SIZES = (0, 1, 2, 3, 32, 5000, 2**20, 2**31, 2**62, -1)


def _other_network(data: bytes, draw: Random) -> bytes:
    """A network that is still one, with other operators, sizes or weights."""
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(draw.choice((1, 2, 4))):
        node, kind = draw.choice(graph.node), draw.randrange(6)
        if kind == 0:
            node.op_type = draw.choice(_OPERATORS)
        elif kind == 1:
            node.input.append(draw.choice(("input", "output", "w", "", "none")))
        elif kind == 2:
            graph.node.append(
                onnx.helper.make_node(draw.choice(_OPERATORS), ["output", "input"], ["more"])
            )
            graph.node[-1].input[:] = list(node.output)
        elif kind == 3:
            dims = draw.choice((graph.input, graph.output))[0].type.tensor_type.shape.dim
            draw.choice(dims).dim_value = draw.choice(_SIZES)
        elif kind == 4 and graph.initializer:
            draw.choice(graph.initializer).dims.append(draw.choice(_SIZES))
        else:
            name = draw.choice(("kernel_shape", "pads", "axis", "to", "value", "strides"))
            values = [draw.choice(_SIZES) for _ in range(draw.choice((1, 2, 4)))]
            node.attribute.append(onnx.helper.make_attribute(name, values))
    return model.SerializeToString()


def _read_onnx(seeds: dict[str, bytes], folder: Path, draw: Random) -> None:
    from PIL import Image

    from packshot.masks.onnx_segmenter import OnnxSegmenter

    file, data = folder / "u2net.onnx", seeds[draw.choice(list(seeds))]
    file.write_bytes(_other_network(data, draw) if draw.random() < 0.6 else damaged(data, draw))
    OnnxSegmenter(file).mask(Image.new("RGB", (40, 30), "red"))


# Records, datasets


def _walked(folder: Path) -> Path:
    """A project at its path's end, with all records that there are."""
    import torch

    from tests.families import make_tiny_sd1
    from tests.walking import made_quick, make_case, walk

    torch.set_num_threads(1)
    made_quick()
    walk(make_case(folder, make_tiny_sd1(folder / "checkpoint")))
    shutil.rmtree(folder / "checkpoint")
    (folder / "project" / "captions.csv").write_text("file,caption\n0.png,a car\n")
    return folder


_RECORDS = (".json", ".jsonl", ".toml", ".csv", ".txt")


def _spoil_record(file: Path, draw: Random) -> None:
    """Damage a record's bytes, or what it says."""
    text = file.read_bytes()
    value: Any = None
    if draw.random() < 0.6:
        with contextlib.suppress(ValueError):
            if file.suffix == ".json":
                text = json.dumps(odd(json.loads(text), draw)).encode()
            elif file.suffix == ".jsonl":
                lines = text.splitlines()
                at = draw.randrange(len(lines))
                lines[at] = json.dumps(odd(json.loads(lines[at]), draw)).encode()
                text = b"\n".join(lines) + b"\n"
            elif file.suffix == ".toml":
                value = odd(tomllib.loads(text.decode()), draw)
                text = _as_toml(value).encode("utf-8", "surrogateescape")
            else:
                text = damaged(text, draw)
            file.write_bytes(text)
            return
    file.write_bytes(damaged(text, draw))


def _as_toml(table: Any, name: str = "") -> str:
    """A table as TOML; what TOML cannot say is left out or written as it would be in JSON."""
    lines, below = [], []
    for key, value in table.items() if isinstance(table, dict) else ():
        place = json.dumps(str(key))
        if isinstance(value, dict):
            below.append(_as_toml(value, f"{name}.{place}" if name else place))
        elif value is not None:
            lines.append(f"{place} = {json.dumps(value)}")
    return "\n".join([*([f"[{name}]"] if name else []), *lines, *below]) + "\n"


def _read_records(walked: Path, folder: Path, draw: Random) -> None:
    from packshot.errors import PackshotError
    from packshot.generation.generate import read_generated_images
    from packshot.photos.photo_set import list_photos
    from packshot.project import open_project

    project = folder / "project"
    shutil.copytree(walked / "project", project)
    records = sorted(file for file in project.rglob("*") if file.suffix in _RECORDS)
    for record in draw.sample(records, draw.choice((1, 1, 2, 5))):
        _spoil_record(record, draw)
    (folder / "more").mkdir()
    shutil.copy(next((walked / "photos").iterdir()), folder / "more" / "new.png")
    with contextlib.suppress(PackshotError):
        opened = open_project(project)
        list_photos(opened)
        read_generated_images(opened.shots_folder)
    commands: Sequence[Sequence[str]] = (
        ("report",), ("caption", "--review"),
        ("caption", "--apply", str(project / "captions.csv")), ("photo-guide",),
        ("photos", str(folder / "more")), ("export", str(folder / "out")), ("masks", "--segmenter", "none"),
    )  # fmt: skip
    for words in draw.sample(commands, 1):
        _command(*words, "--project", str(project))
    if draw.random() < 0.05:
        _run_again(walked, project)


def _command(*words: str) -> None:
    """A command of the command line; an error in words is what should be."""
    from packshot.cli import app
    from packshot.errors import PackshotError

    with contextlib.suppress(PackshotError, SystemExit):
        app(list(words), standalone_mode=False)


def _run_again(walked: Path, project: Path) -> None:
    from packshot.errors import PackshotError
    from packshot.settings import choices_of
    from packshot.workflow import end_to_end
    from tests.walking import OPTIONS

    with contextlib.suppress(PackshotError):
        end_to_end.run(
            walked / "photos", root=project, name="Duster", class_noun="car",
            choices=choices_of(base=str(walked / "base"), **OPTIONS),
        )  # fmt: skip


def _dataset_seeds(folder: Path) -> Path:
    """Datasets of each kind, as Packshot itself writes them."""
    from tests.odd_files import painted

    for form in ("kohya", "named", "imagefolder", "json", "csv"):
        place = folder / form / ("10_ohwx car" if form == "kohya" else "img")
        place.mkdir(parents=True)
        for number in range(3):
            painted(number, (208, 160)).save(place / f"{number}.png")
            (place / f"{number}.txt").write_text("ohwx car, in the snow\n")
    rows = [{"file_name": f"img/{n}.png", "text": f"ohwx car {n}"} for n in range(3)]
    (folder / "imagefolder" / "metadata.jsonl").write_text(
        "\n".join(json.dumps(row) for row in rows)
    )
    (folder / "csv" / "metadata.csv").write_text(
        "file_name,text\n" + "".join(f"{row['file_name']},{row['text']}\n" for row in rows)
    )
    named = {row["file_name"]: {"caption": row["text"], "tags": "red, car"} for row in rows}
    (folder / "json" / "metadata.json").write_text(json.dumps(named))
    subset = 'image_dir = "img"\nclass_tokens = "ohwx car"\nnum_repeats = 3\ncaption_extension = ".txt"\n'
    (folder / "named" / "dataset.toml").write_text(
        f"[general]\nshuffle_caption = true\n[[datasets]]\nresolution = 512\n[[datasets.subsets]]\n{subset}"
    )
    return folder


def _read_dataset(seeds: Path, folder: Path, draw: Random) -> None:
    from packshot.datasets.importer import import_dataset

    form = draw.choice(("kohya", "named", "imagefolder", "json", "csv"))
    data = folder / "data"
    shutil.copytree(seeds / form, data)
    texts = [file for file in data.rglob("*") if file.suffix in _RECORDS]
    for file in draw.sample(sorted(texts), draw.choice((1, 2, 3))):
        _spoil_record(file, draw)
    if draw.random() < 0.3:
        with contextlib.suppress(OSError, ValueError):
            draw.choice(sorted(texts)).rename(
                data / draw.choice(("x.toml", "caption.txt", "\udcff.txt"))
            )
    source = next((file for file in data.iterdir() if file.suffix in _RECORDS), data)
    try:
        import_dataset(
            draw.choice((source, data)), folder / "project", class_noun="car", name="Duster",
            images=draw.choice((None, data / "img")),
        )  # fmt: skip
    finally:
        shutil.rmtree(data)


# Answers of servers


def _answer_seeds(folder: Path) -> dict[str, Any]:
    from tests.class_images.online.server import jpeg

    item = {
        "id": "0" * 32, "title": "Car", "foreign_landing_url": "https://example.org/1", "creator": "Ada",
        "url": "https://example.org/1.jpg", "license": "by", "license_version": "2.0", "filetype": "jpg",
        "license_url": "https://creativecommons.org/licenses/by/2.0/", "width": 1024, "height": 768,
    }  # fmt: skip
    info = {
        "url": "https://example.org/2.jpg", "thumburl": "https://example.org/2.jpg", "thumbwidth": 1280,
        "thumbheight": 853, "descriptionurl": "https://example.org/2", "width": 6000, "height": 4000,
        "mime": "image/jpeg",
        "extmetadata": {"LicenseShortName": {"value": "CC0"}, "Artist": {"value": "<b>Ada</b>"}},
    }  # fmt: skip
    page = {"pageid": 1, "title": "File:Car.jpg", "index": 1, "imageinfo": [info]}
    siblings = [{"rfilename": name, "size": 100} for name in ("model.onnx", "config.json")]
    return {
        "openverse": {"result_count": 1, "page_count": 1, "results": [item] * 2},
        "commons": {"query": {"pages": [page] * 2}, "continue": {"gsroffset": 50}},
        "hub": {"id": "a/b", "sha": "c" * 40, "siblings": siblings},
        "jpeg": jpeg(1),
        "list": b"url,license,title\nhttps://example.org/1.jpg,CC0,Car\nhttps://example.org/2.jpg,BY,Car\n",
    }


def _odd_headers(draw: Random, headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    odd_ones = {
        "retry-after": ("-1", "1e99", "9" * 400, "Fri, 99 Nov 2026 00:00:00 GMT", "0"),
        "content-length": ("-5", "99999999999999999999", "x"),
        "content-encoding": ("gzip", "br", "gzip, gzip", "x"),
        "content-type": ("", "image/jpeg; charset=\xff", "text/html", "image/svg+xml"),
        "location": (
            "http://169.254.169.254/", "file:///etc/passwd", "//[::1]/", "\\\\x", "http://[", "/a" * 3000,
        ),
        "x-robots-tag": ("noai", ":", ":,:", "packshot: none"),
        "etag": ('"../../x"', "W/", '"' + "a" * 40 + '"', ""),
        "x-repo-commit": ("../..", "c" * 40, "", "c" * 400),
        "x-linked-etag": ('"/etc/x"', '"' + "b" * 64 + '"'),
        "x-linked-size": ("-1", "9" * 30, "x"),
    }  # fmt: skip
    for name in draw.sample(sorted(odd_ones), draw.choice((0, 0, 0, 1, 3))):
        headers[name] = draw.choice(odd_ones[name])
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _read_answers(seeds: dict[str, Any], folder: Path, draw: Random) -> None:
    import httpx
    import huggingface_hub

    def answer(request: httpx.Request) -> httpx.Response:
        """What was asked for, or something near it."""
        path = request.url.path
        kind = "openverse" if "/v1/images" in path else "commons" if "api.php" in path else "jpeg"
        kind = "hub" if "/api/models" in path else kind
        body = seeds[kind]
        if not isinstance(body, bytes):
            body = json.dumps(odd(body, draw) if draw.random() < 0.5 else body).encode()
        if draw.random() < 0.2:
            body = damaged(body, draw)
        headers = {
            "content-type": "image/jpeg" if kind == "jpeg" else "application/json",
            "x-repo-commit": "c" * 40, "etag": '"' + "a" * 40 + '"',
        }  # fmt: skip
        usual = draw.random() < 0.8
        status = 200 if usual else draw.choice((206, 301, 302, 307, 401, 403, 404, 429, 500, 999))
        faults = [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ConnectError]
        if draw.random() < 0.05:
            raise draw.choice(faults)("x", request=request)
        given = {} if request.method == "HEAD" else {"stream": httpx.ByteStream(body)}
        return httpx.Response(status, headers=_odd_headers(draw, headers), request=request, **given)

    transport = httpx.MockTransport(answer)
    if draw.random() < 0.3:
        huggingface_hub.set_client_factory(
            lambda: httpx.Client(transport=transport, follow_redirects=True)
        )
        _fetch_from_hub(folder)
    else:
        _gather(transport, seeds, folder, draw)


def _fetch_from_hub(folder: Path) -> None:
    from huggingface_hub import constants

    from packshot.weights import hub

    constants.HF_HUB_CACHE = str(folder / "hub")
    repo = hub.parse_repo("a/b")
    assert repo
    hub.download_files(repo, ["model.onnx"], also=["config.json"])


def _gather(transport: Any, seeds: dict[str, Any], folder: Path, draw: Random) -> None:
    from packshot.class_images.online import download
    from packshot.class_images.online.collect import download_from
    from packshot.class_images.online.commons import Commons
    from packshot.class_images.online.licences import FREE
    from packshot.class_images.online.openverse import Openverse
    from packshot.class_images.online.url_list import UrlList
    from packshot.project import create_project
    from tests.class_images.online.conftest import FakeClock

    download.PublicTransport = lambda *_: transport
    (folder / "list.csv").write_bytes(damaged(seeds["list"], draw))
    sources = [Openverse("car", FREE), Commons("car"), UrlList(folder / "list.csv")]
    download_from(
        create_project(folder / "project", name="Duster", class_noun="car"),
        draw.sample(sources, draw.choice((1, 3))),
        download.Fetcher("ada@example.org", FakeClock()),
        5,
        FREE,
        min_side=64,
    )


TARGETS = {
    "pictures": Target(_picture_seeds, _read_picture),
    "archives": Target(_archive_seeds, _read_archive),
    "safetensors": Target(_safetensors_seeds, _read_safetensors),
    "gguf": Target(_gguf_seeds, _read_gguf),
    "onnx": Target(_onnx_seeds, _read_onnx),
    "records": Target(_walked, _read_records),
    "datasets": Target(_dataset_seeds, _read_dataset),
    "answers": Target(_answer_seeds, _read_answers),
}
