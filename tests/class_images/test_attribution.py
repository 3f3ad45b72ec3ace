from pathlib import Path

from packshot.class_images.attribution import attribution
from packshot.class_images.class_image import ClassImage


def image(name, licence, **told):
    told = {"source": "https://example.org/1", "author": "Ada"} | told
    return ClassImage(
        file=Path(name), sha256="0" * 64, width=8, height=8, prompt="a photo of a car",
        licence=licence, **told,
    )  # fmt: skip


def test_licences_are_counted_and_each_picture_is_credited():
    deed = "https://creativecommons.org/licenses/by/2.0/"
    images = [
        image("1.jpg", "CC0 1.0"),
        image("2.jpg", "CC BY 2.0", title="A car", licence_url=deed),
        image("3.jpg", "CC BY 2.0", source="/home/ada/3.jpg", licence_url=deed),
    ]
    assert attribution(images) == (
        "# Where the class images come from\n\n| licence | images |\n|---|---|\n"
        "| CC BY 2.0 | 2 |\n| CC0 1.0 | 1 |\n\n"
        f"## [CC BY 2.0](<{deed}>)\n"
        "- [A car](<https://example.org/1>) by Ada (`2.jpg`)\n"
        "- 3.jpg (/home/ada/3.jpg) by Ada (`3.jpg`)\n\n"
        "## CC0 1.0\n- [1.jpg](<https://example.org/1>) by Ada (`1.jpg`)\n"
    )


def test_what_strangers_wrote_is_neither_markdown_nor_html():
    text = attribution(
        [
            image(
                "1.jpg",
                "CC0",
                title="a](x) <b>|\n# b",
                author="<script>",
                source="javascript:alert(1)",
            )
        ]
    )
    assert (
        "- a\\]\\(x\\) \\<b\\>\\| \\# b (javascript:alert\\(1\\)) by \\<script\\> (`1.jpg`)" in text
    )
