from packshot.photos.photo_set import add_photos, list_photos, write_captions
from packshot.project import create_project
from packshot.report import write_caption_page
from tests.projects import painted

EVIL = "<script>alert(1)</script> & ohwx"


def test_captions_stand_beside_their_photos_and_run_nothing(tmp_path):
    project = create_project(tmp_path / "project", name="<b>Duster</b>", class_noun="car")
    for index in range(2):
        painted(index, (192, 160)).save(tmp_path / f"{index}.png")
    add_photos(project, [tmp_path / "0.png", tmp_path / "1.png"])
    write_captions(project, [(list_photos(project)[0], EVIL)], by="blip")
    page = write_caption_page(project)
    text = page.read_text()
    assert page == project.root / "captions.html"
    assert "<script>" not in text and "<b>Duster" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; ohwx" in text
    assert "0.png &middot; blip" in text and "no caption yet" in text
    assert text.count("data:image/jpeg;base64,") == 2 and "://" not in text
    assert 'href="photos/0.png"' in text and 'href="captions.csv"' in text
