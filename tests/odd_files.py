"""Files such as phones, clouds, other tools and ill-wishers leave: odd, damaged, hostile."""

import io
import os
import random
import struct
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

ORIENTATION, MAKE, EXIF_FOLDER = 0x0112, 0x010F, 0x8769


def painted(seed, size=(192, 160)):
    """Sharp, distinct, random blocks: nothing that a check for blur or duplicates refuses."""
    shape = (size[1] // 16, size[0] // 16, 3)
    blocks = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    return Image.fromarray(blocks.repeat(16, axis=0).repeat(16, axis=1))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, data=b"", *extra, depth=8, colour=2):
    """A PNG of given header, whatever its data; `extra` are chunks before the data."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body


def cmyk_profile():
    """An ICC profile of inks in which full cyan is Lab (50, -60, 40), a green, and key is black.

    A table of two points an ink, cyan's the slowest and key's the quickest.
    """
    white, green, black = (
        bytes((round(2.55 * lightness), 128 + a, 128 + b))
        for lightness, a, b in ((100, 0, 0), (50, -60, 40), (0, 0, 0))
    )
    table = b"".join(black if i % 2 else green if i >= 8 else white for i in range(16))
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + table + ramp * 3
    name = b"desc\0\0\0\0" + struct.pack(">I", 4) + b"ink\0" + bytes(4 + 4 + 2 + 1 + 67)
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    tags, offset, body = b"", 128 + 4 + 3 * 12, b""
    for tag, data in ((b"A2B0", lut), (b"desc", name), (b"wtpt", b"XYZ \0\0\0\0" + d50)):
        tags += tag + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    whole = struct.pack(">I", 3) + tags + body
    header = struct.pack(
        ">I4sI4s4s4s", 128 + len(whole), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    header += bytes(12) + b"acsp" + bytes(28) + d50
    return header.ljust(128, b"\0") + whole


def linear_profile():
    """sRGB's primaries with linear light, under another name."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    at = next(i for i in range(128, len(data)) if data[i : i + 4] == b"para")
    curve = struct.pack(">4s4xHH", b"para", 0, 0) + struct.pack(">i", 65536)
    return data[:at] + curve + data[at + len(curve) :]


def looping_exif():
    """EXIF whose folder of further tags is itself, and whose next folder too."""
    entries = struct.pack("<H", 1) + struct.pack("<HHII", EXIF_FOLDER, 4, 1, 8)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + struct.pack("<I", 8)


def exif(orientation=1, make="Camera"):
    values = Image.Exif()
    values[ORIENTATION], values[MAKE] = orientation, make
    return values


def with_exif(jpeg, block):
    """A JPEG with these very bytes as its EXIF."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def motion_photo(seed=0):
    """A JPEG with a video behind it, as Android's phones write."""
    return encoded(painted(seed), "JPEG", quality=95) + video(seed, frames=4)


def video(seed=0, ending=".mp4", frames=24, size=(192, 160), codec="mp4v", turn=0, still=False):
    """A camera that moves along a wall of blocks, 12 frames a second; turned by the player."""
    wall = painted(seed, (size[0] + 16 * frames, size[1]))
    lefts = [0 if still else 16 * frame for frame in range(frames)]
    shown = [wall.crop((left, 0, left + size[0], size[1])) for left in lefts]
    data = filmed(shown, ending, codec)
    return turned(data, turn, size) if turn else data


def filmed(frames, ending=".mp4", codec="mp4v"):
    """A video of these pictures, 12 a second."""
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        path, code = str(Path(folder) / f"a{ending}"), cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, code, 12, frames[0].size)
        for frame in frames:
            writer.write(np.ascontiguousarray(np.asarray(frame)[..., ::-1]))
        writer.release()
        return Path(path).read_bytes()


def turned(mp4, degrees, size):
    """An MP4 whose first track is shown turned clockwise by 90, 180 or 270 degrees."""
    one, width, height = 65536, size[0] * 65536, size[1] * 65536
    matrix = {
        90: (0, one, 0, -one, 0, 0, height, 0, 1 << 30),
        180: (-one, 0, 0, 0, -one, 0, width, height, 1 << 30),
        270: (0, -one, 0, one, 0, 0, 0, width, 1 << 30),
    }[degrees]
    at = mp4.index(b"tkhd") + 44
    return mp4[:at] + struct.pack(">9i", *matrix) + mp4[at + 36 :]


def stretched(mp4, across, down):
    """An MP4 whose pixels are not square: `across` wide and `down` high."""
    return _described(mp4, struct.pack(">4sII", b"pasp", across, down))


def coloured(mp4, primaries, curve):
    """An MP4 that states its colours, by numbers of ITU-T H.273."""
    return _described(mp4, struct.pack(">4s4sHHHB", b"colr", b"nclx", primaries, curve, 1, 0))


def _described(mp4, box):
    """An MP4 with one more box, without its size, in the description of its pictures."""
    box = struct.pack(">I", len(box) + 4) + box
    entry = mp4.index(b"mp4v", mp4.index(b"stsd")) - 4
    end = entry + struct.unpack(">I", mp4[entry : entry + 4])[0]
    changed = bytearray(mp4)
    starts = [
        mp4.index(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    ]
    for at in (*starts, entry):
        changed[at : at + 4] = struct.pack(
            ">I", struct.unpack(">I", mp4[at : at + 4])[0] + len(box)
        )
    assert box[4:8] not in mp4 and mp4.index(b"mdat") < mp4.index(b"moov"), "places in it stay"
    return bytes(changed[:end]) + box + bytes(changed[end:])


def zipped(*members, compression=zipfile.ZIP_STORED):
    """A ZIP of names (or ZipInfos) and their bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in members:
            archive.writestr(name, data, compression)
    return buffer.getvalue()


ESCAPES = (
    "../out.png", "/tmp/out.png", "a/../../out.png", "a/../out.png", "..\\out.png", "C:\\out.png",
    "C:out.png", "\\\\server\\share\\out.png",
)  # fmt: skip


def link_member(name, target):
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, 0o120777 << 16
    return member, target.encode()


def encrypted(data):
    """A ZIP whose members say that they are encrypted."""
    changed = bytearray(data)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(magic, start + 1)) >= 0:
            changed[start + at] |= 1
    return bytes(changed)


def originals():
    """One whole file of each format, by its ending."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    image = painted(1000)
    files = {
        ".jpg": encoded(image, "JPEG", quality=92, exif=exif(orientation=6)),
        ".png": encoded(image, "PNG"),
        ".webp": encoded(image, "WEBP", quality=90),
        ".heic": encoded(image, "HEIF", quality=90),
        ".gif": encoded(image, "GIF"),
        ".tif": encoded(image, "TIFF"),
        ".bmp": encoded(image, "BMP"),
        ".avif": encoded(image, "AVIF"),
        ".mpo": encoded(image, "MPO", save_all=True, append_images=[painted(1001)]),
        ".mp4": video(1000),
        ".mov": video(1001, ".mov"),
        ".webm": video(1002, ".webm", codec="VP80"),
        ".zip": zipped(("a.png", encoded(painted(1003), "PNG")), ("b.jpg", encoded(painted(1004), "JPEG"))),
    }  # fmt: skip
    return files


def corpus():
    """(name, bytes) of more than 300 odd files, the same each time."""
    whole, draw = originals(), random.Random(7)
    for ending, data in whole.items():
        yield f"whole{ending}", data
        steps = 4 if ending in (".mp4", ".mov", ".webm") else 12
        for step in range(steps):
            kept = len(data) * step // steps
            yield f"cut-{step}{ending}", data[: max(kept, step)]
    for ending, data in whole.items():
        for number in range(2 if ending in (".mp4", ".mov", ".webm") else 8):
            changed = bytearray(data)
            for _ in range(draw.randint(1, 12)):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            yield f"mutant-{number}{ending}", bytes(changed)
    endings = list(whole)
    for index, ending in enumerate(endings):  # each under another's name
        yield f"called-wrong-{index}{endings[(index + 5) % len(endings)]}", whole[ending]
    for ending in (".jpg", ".png", ".heic", ".mp4", ".zip", ".tif", ".cr2"):
        yield f"nothing{ending}", b""
        yield f"zeros{ending}", bytes(5000)
        yield f"words{ending}", b"these are words, and no picture\n" * 100
        yield f"noise{ending}", draw.randbytes(5000)
    yield from _pictures()
    yield from _bombs()
    yield from _archives()


def _pictures():
    """What phones and editors write."""
    for orientation in range(10):
        data = encoded(painted(orientation), "JPEG", exif=exif(orientation=orientation))
        yield f"orientation-{orientation}.jpg", data
        tagged = exif(orientation=orientation, make="x" * 50)
        yield (
            f"orientation-{orientation}.png",
            encoded(painted(20 + orientation), "PNG", exif=tagged),
        )
    jpeg = encoded(painted(40), "JPEG")
    blocks = {
        "loop": looping_exif(), "empty": b"Exif\0\0", "short": b"Exif\0\0II*\0\xff\xff",
        "far": b"Exif\0\0MM\0*\xff\xff\xff\xff", "many": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60),
        "huge": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\xff\x7f\x1a\0\0\0\0\0\0\0",
    }  # fmt: skip
    for index, (name, block) in enumerate(blocks.items()):
        yield f"exif-{name}.jpg", with_exif(encoded(painted(41 + index), "JPEG"), block)
    yield "motion.jpg", motion_photo(50)
    yield "motion-cut.jpg", motion_photo(51)[:-3000]
    yield "trailing.jpg", jpeg + b"<html>" * 500
    yield "before.jpg", b"\0" * 100 + jpeg
    profiles = {
        "none": b"", "nonsense": b"nonsense" * 40, "cut": linear_profile()[:200],
        "linear": linear_profile(), "ink": cmyk_profile(), "long": bytes(200_000),
    }  # fmt: skip
    for index, (name, profile) in enumerate(profiles.items()):
        for mode, kind in (("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("RGBA", "PNG")):
            image = painted(60 + 4 * index + len(mode)).convert(mode)
            yield f"icc-{name}-{mode}.{kind.lower()}", encoded(image, kind, icc_profile=profile)
    wide = np.asarray(painted(90)).astype(">u2") * 257
    yield (
        "sixteen-bit-rgb.png",
        png(192, 160, b"".join(b"\0" + row.tobytes() for row in wide), depth=16),
    )
    grey = np.asarray(painted(91).convert("L")).astype(np.uint16) * 257
    yield "sixteen-bit-grey.png", encoded(Image.fromarray(grey), "PNG")
    for mode in ("1", "L", "LA", "P", "RGBA"):
        yield (
            f"mode-{mode}.png",
            encoded(painted(92 + len(mode) + ord(mode[0])).convert(mode), "PNG"),
        )
    palette = painted(99).convert("P")
    yield "palette-transparent.png", encoded(palette, "PNG", transparency=0)
    yield "palette-transparencies.png", encoded(palette, "PNG", transparency=bytes(range(256)))
    yield "animated.png", encoded(painted(100), "PNG", save_all=True, append_images=[painted(101)])
    yield (
        "animated.webp",
        encoded(painted(102), "WEBP", save_all=True, append_images=[painted(103)]),
    )
    yield "animated.gif", encoded(painted(104), "GIF", save_all=True, append_images=[painted(105)])
    for size in ((1, 1), (1, 5000), (5000, 1), (127, 4000), (128, 128)):
        image = painted(110, (5008, 5008)).crop((0, 0, *size))
        yield f"size-{size[0]}-{size[1]}.png", encoded(image, "PNG")
    yield "size-1-1.jpg", encoded(Image.new("RGB", (1, 1)), "JPEG")
    yield "black.jpg", encoded(Image.new("RGB", (300, 300)), "JPEG")
    yield "white.png", encoded(Image.new("RGB", (300, 300), "white"), "PNG")


def _bombs():
    """Small files that would take gigabytes."""
    for width, height in (
        (2**31 - 1, 2**31 - 1),
        (60_000, 60_000),
        (12_000, 9_000),
        (0, 0),
        (0, 9),
    ):
        yield f"giant-{width}.png", png(width, height)
        gif = b"GIF89a" + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + bytes(3) + b";"
        yield f"giant-{width}.gif", gif
    yield "flat-49-megapixels.png", png(7000, 7000, bytes(7000 * 7001), depth=8, colour=0)
    text = b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)
    yield "text.png", png(192, 160, b"", png_chunk(b"zTXt", text))
    profile = b"icc\0\0" + zlib.compress(bytes(50_000_000), 9)
    yield "profile.png", png(192, 160, b"", png_chunk(b"iCCP", profile))
    jpeg = bytearray(encoded(painted(120), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    yield "giant.jpg", bytes(jpeg)
    tags = [(256, 4, 1, 2**31 - 1), (257, 4, 1, 2**31 - 1), (273, 4, 1, 8), (279, 4, 1, 2**31 - 1)]
    folder = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    yield "giant.tif", b"II*\0" + struct.pack("<I", 8) + folder + bytes(4)
    heic = bytearray(originals()[".heic"])
    at = heic.index(b"ispe") + 8
    heic[at : at + 8] = b"\x7f\xff\xff\xff" * 2
    yield "giant.heic", bytes(heic)
    mp4 = bytearray(video(121))
    at = mp4.index(b"tkhd") + 80
    mp4[at : at + 8] = b"\x7f\xff\0\0" * 2
    at = mp4.index(b"mp4v", mp4.index(b"stsd")) + 28
    mp4[at : at + 4] = b"\xff\xff\xff\xff"
    yield "wide.mp4", bytes(mp4)


def _archives():
    photo = encoded(painted(130), "PNG")
    good = ("good.png", photo)
    yield "empty.zip", zipped()
    yield "words.zip", zipped(("notes.md", b"words"))
    yield "bomb.zip", zipped(("bomb.png", bytes(40_000_000)), compression=zipfile.ZIP_DEFLATED)
    yield "nested.zip", zipped(("inner.zip", zipped(good)))
    yield "encrypted.zip", encrypted(zipped(good))
    yield "lzma.zip", zipped(good, compression=zipfile.ZIP_LZMA)
    yield "link.zip", zipped(link_member("link.jpg", "/etc/passwd"))
    yield "twice.zip", zipped(good, good)
    yield "many.zip", zipped(*((f"{number}.png", b"") for number in range(6000)))
    yield "long-listing.zip", zipped(*((f"{number}" * 20, b"") for number in range(9000)))
    for index, name in enumerate(ESCAPES):
        yield f"escape-{index}.zip", zipped((name, photo))
    odd = (
        "a\0b.png",
        "n" * 300 + ".png",
        "new\nline.png",
        "\x1b[31mred.png",
        "写真.png",
        "a.png/b.png",
    )
    for index, name in enumerate(odd):
        yield f"odd-name-{index}.zip", zipped((name, photo))
    whole = zipped(good)
    end = whole.rindex(b"PK\x05\x06")
    yield "wrong-listing.zip", whole[: end + 12] + struct.pack("<I", 2**31) + whole[end + 16 :]
    wrong = bytearray(whole)
    wrong[whole.index(photo) + 40] ^= 255
    yield "wrong-sum.zip", bytes(wrong)


def lay_out(folder):
    """Write the corpus into a folder, with what is no file at all; returns all names."""
    for name, data in corpus():
        (folder / name).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    (folder / "folder-2.mp4").mkdir()
    (folder / "folder.zip").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe-2.mov")
    (folder / "loop-1.jpg").symlink_to(folder / "loop-2.jpg")
    (folder / "loop-2.jpg").symlink_to(folder / "loop-1.jpg")
    (folder / "loop.zip").symlink_to(folder / "loop.zip")
    (folder / "gone.jpg").symlink_to(folder / "never-was.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(10**11)
    names = (
        "new\nline",
        "\x1b[2Jescape",
        "写真 📷",
        "e\u0301" * 80,
        "n" * 250,
        "-rf",
        "a'b\"c",
        "x.y..z",
    )
    for index, name in enumerate(names):
        data = encoded(painted(210 + index), "JPEG", exif=exif())
        (folder / f"{name}.jpg").write_bytes(data)
    (folder / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(encoded(painted(200), "JPEG"))
    (folder / ("v" * 250 + ".mp4")).write_bytes(video(220))
    return sorted(path.name for path in folder.iterdir())
