import io
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from packshot.errors import ImageRejectedError, WriteError
from packshot.images import video as decoder
from packshot.images.quality import distance, perceptual_hash
from packshot.images.video import FrameCandidate, choose, pick_frames
from tests.odd_files import coloured, encoded, filmed, stretched, turned, video
from tests.projects import painted

pytestmark = pytest.mark.slow


@pytest.fixture
def pick(tmp_path):
    def call(data, count=12, name="clip.mp4"):
        (tmp_path / name).write_bytes(data)
        return [Image.open(path) for path in pick_frames(tmp_path / name, tmp_path / "out", count)]

    return call


def why(pick, data, **options):
    with pytest.raises(ImageRejectedError) as caught:
        pick(data, **options)
    return caught.value.reason


@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".mp4", "mp4v"), (".mov", "mp4v"), (".avi", "MJPG"), (".webm", "VP80"), (".mkv", "MJPG")],
)
def test_distinct_frames_are_taken_of_each_kind_of_file(pick, ending, codec):
    frames = pick(video(1, ending, codec=codec), name=f"clip{ending}")
    hashes = [perceptual_hash(frame) for frame in frames]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert len(frames) >= 3 and min(apart) >= decoder.DISTINCT
    assert frames[0].size == (192, 160) and frames[0].format == "JPEG"
    assert "clip at 000." in frames[0].filename


def test_no_more_are_taken_than_asked_for_and_the_same_each_time(pick, tmp_path):
    frames = pick(video(1, frames=60), count=2)
    assert len(frames) == 2
    assert [f.tobytes() for f in pick(video(1, frames=60), count=2)] == [
        f.tobytes() for f in frames
    ]


def test_frames_of_a_name_of_many_bytes_have_names_that_may_be(pick):
    assert pick(video(1, ".avi", codec="MJPG"), name="写" * 83 + ".avi", count=1)


def test_frames_that_cannot_be_written_are_no_damage_of_the_video(pick, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(
        WriteError, match=r"s\.jpg cannot be written: a file stands where a folder must"
    ):
        pick(video(1))


def test_a_camera_that_stands_still_gives_one_frame(pick):
    frames = pick(video(2, still=True))
    assert len(frames) == 1
    wall = np.asarray(painted(2, (192 + 16 * 24, 160)))[:, :192].astype(int)
    assert np.abs(np.asarray(frames[0]).astype(int) - wall).mean() < 8  # colours in their order


@pytest.mark.parametrize(
    ("degrees", "size"), [(90, (160, 192)), (180, (192, 160)), (270, (160, 192))]
)
def test_frames_are_upright(pick, degrees, size):
    plain, turned = pick(video(3, still=True))[0], pick(video(3, still=True, turn=degrees))[0]
    assert turned.size == size
    expected = np.asarray(plain.rotate(-degrees, expand=True)).astype(int)
    assert np.abs(np.asarray(turned).astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("across", "down", "turn", "size"),
    [
        (8, 5, 0, (307, 160)), (2, 1, 0, (384, 160)), (1, 2, 0, (96, 160)), (1, 1, 0, (192, 160)),
        (8, 5, 90, (160, 307)), (8, 5, 180, (307, 160)), (0, 1, 0, (192, 160)),
        (2**31 - 1, 1, 0, (192, 160)),
    ],
)  # fmt: skip
def test_frames_of_anamorphic_videos_have_square_pixels(pick, across, down, turn, size):
    """As a player shows them: the plain video's frame, turned, resized."""
    data = stretched(video(3, still=True), across, down)
    shown = pick(turned(data, turn, (192, 160)) if turn else data)[0]
    assert shown.size == size
    plain = pick(video(3, still=True))[0].rotate(-turn, expand=True)
    expected = np.asarray(plain.resize(size, Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(np.asarray(shown).astype(int) - expected).mean() < 8


def test_of_each_half_second_the_sharpest_and_none_that_is_blurred_beside_the_others():
    rng = np.random.default_rng(0)
    looks = [FrameCandidate(n, 500.0 + n, rng.bytes(32).hex()) for n in range(40)]
    looks[5] = FrameCandidate(5, 900, looks[5].hash)
    for number in range(12, 16):
        looks[number] = FrameCandidate(number, 100, looks[number].hash)
    assert [look.frame for look in choose(looks, 99)] == [3, 5, 11, 19, 23, 27, 31, 35, 39]
    assert choose([FrameCandidate(0, 59, "0" * 64)], 1) == []


def test_the_least_like_are_chosen_first():
    hashes = [f"{(1 << bits) - 1:064x}" for bits in (0, 30, 100, 130, 256)]
    looks = [
        FrameCandidate(number, 500, one) for number, one in enumerate(hashes) for _ in range(4)
    ]
    assert [look.hash for look in choose(looks, 2)] == [hashes[0], hashes[4]]
    assert [look.hash for look in choose(looks, 9)] == [hashes[0], hashes[3], hashes[4]]


def test_why_videos_are_refused(pick, tmp_path, monkeypatch):
    none = "is not a video that Packshot reads, or is damaged"
    assert why(pick, b"") == none
    assert why(pick, video(4)[:2000]) == none
    assert why(pick, encoded(painted(4), "GIF")) == none
    smooth = Image.linear_gradient("L").resize((192, 160)).convert("RGB")
    assert why(pick, filmed([smooth] * 8)).startswith("is blurred throughout (sharpness")
    monkeypatch.setattr(decoder, "MAX_BYTES", 1000)
    assert why(pick, video(4)).startswith("has 0 MB, more than 0; make it smaller")
    monkeypatch.undo()
    monkeypatch.setattr(decoder, "TIMEOUT_SECONDS", 0.01)
    assert why(pick, video(4)) == "took longer than 0 minutes to look through; cut it"


def test_a_playlist_opens_no_other_file(pick, tmp_path):
    (tmp_path / "other.mp4").write_bytes(video(5))
    listed = f"ffconcat version 1.0\nfile {tmp_path / 'other.mp4'}\n"
    hls = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path / 'other.mp4'}\n#EXT-X-ENDLIST\n"
    )
    for data in (listed, hls):
        assert why(pick, data.encode()).startswith("is not a video that Packshot reads")


def test_a_decoder_that_dies_is_survived(pick, monkeypatch):
    monkeypatch.setattr(decoder.sys, "executable", "/bin/false")
    assert why(pick, video(6)) == "cannot be decoded; it is damaged, or needs too much memory"


def test_memory_is_limited_where_the_system_can(monkeypatch):
    limits = []
    resource = SimpleNamespace(
        RLIMIT_AS=9, RLIM_INFINITY=-1, getrlimit=lambda _: (-1, -1),
        setrlimit=lambda kind, limit: limits.append((kind, limit)),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "resource", resource)
    decoder._limit_memory()
    assert limits == [(9, (decoder.MAX_MEMORY_BYTES, decoder.MAX_MEMORY_BYTES))]
    monkeypatch.setitem(sys.modules, "resource", None)
    decoder._limit_memory()
    assert len(limits) == 1


@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_of_eight_bits_is_known_by_what_the_file_says(pick, code, name):
    assert why(pick, coloured(video(7), 9, code)).startswith(
        f"is HDR ({name}), whose colours would"
    )
    assert pick(coloured(video(7), 1, 1)), "SDR"


def hevc(heic):
    """The stream that a HEIC's one picture is: parameter sets and slices, each after a start code."""
    at, stream = heic.index(b"hvcC") + 26, b""
    arrays, at = heic[at], at + 1
    for _ in range(arrays):
        count, at = struct.unpack(">H", heic[at + 1 : at + 3])[0], at + 3
        for _ in range(count):
            length = struct.unpack(">H", heic[at : at + 2])[0]
            stream += b"\0\0\0\1" + heic[at + 2 : at + 2 + length]
            at += 2 + length
    at = heic.index(b"mdat") + 4
    while at + 4 < len(heic) and (length := struct.unpack(">I", heic[at : at + 4])[0]):
        stream += b"\0\0\0\1" + heic[at + 4 : at + 4 + length]
        at += 4 + length
    return stream


def test_hdr_is_refused_and_what_phones_record_otherwise_is_decoded(tmp_path):
    import cv2

    image, buffers = painted(7), [io.BytesIO(), io.BytesIO()]
    pillow_heif.from_pillow(image).save(buffers[0], quality=95)
    deep = np.asarray(image).astype(np.uint16) * 257
    pillow_heif.from_bytes("RGB;16", image.size, deep.tobytes()).save(buffers[1], quality=95)
    plain, hdr = (tmp_path / name for name in ("a.hevc", "b.hevc"))
    for path, buffer in zip((plain, hdr), buffers, strict=True):
        path.write_bytes(hevc(buffer.getvalue()) * 2)
    capture = cv2.VideoCapture(str(plain), cv2.CAP_FFMPEG)
    decoder._refuse_unsuited(plain, capture)
    assert np.abs(capture.read()[1][..., ::-1].astype(int) - np.asarray(image)).mean() < 5
    with pytest.raises(
        ImageRejectedError, match=r"is HDR \(10 bits\), whose colours would come out wr"
    ):
        decoder._refuse_unsuited(hdr, cv2.VideoCapture(str(hdr), cv2.CAP_FFMPEG))
