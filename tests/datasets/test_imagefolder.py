import json
import shutil

import numpy as np
import pytest
from PIL import Image

from packshot.datasets import export_dataset, import_dataset, read_dataset
from packshot.errors import DatasetError
from tests.projects import painted


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("inside", ["", "train"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_beside_the_pictures_or_in_train(tmp_path, inside, ending):
    folder = tmp_path / "data" / inside
    folder.mkdir(parents=True)
    painted(1, (160, 144)).save(folder / "a.png")
    text = 'file_name,text\na.png,"a car, red"\n'
    line = json.dumps({"file_name": "a.png", "text": "a car, red"})
    (folder / f"metadata.{ending}").write_text(text if ending == "csv" else line)
    if inside:
        (tmp_path / "data" / "test").mkdir()
        shutil.copy(folder / f"metadata.{ending}", tmp_path / "data" / "test")
    dataset = read_dataset(tmp_path / "data")
    assert [(e.picture, e.caption) for e in dataset.entries] == [(folder / "a.png", "a car, red")]
    test = tmp_path / "data" / "test"
    passed_over = [f"{test} was skipped: import it by its name if you want it"]
    assert dataset.notes == (passed_over if inside else [])


def test_parquet_is_refused_with_a_way_out(tmp_path):
    (tmp_path / "metadata.parquet").touch()
    with pytest.raises(
        DatasetError, match=r"reads no metadata\.parquet; save it as metadata\.csv\.$"
    ):
        read_dataset(tmp_path)


def test_what_is_exported_is_as_documented(full_project, tmp_path):
    """Each line has a `file_name`, relative to its file; `*_file_name` is a column of pictures."""
    root = export_dataset(full_project, tmp_path / "out", format="imagefolder")
    assert sorted(path.name for path in root.iterdir()) == ["class_images", "train"]
    table = rows(root / "train" / "metadata.jsonl")
    assert [row["text"] for row in table] == [
        'ohwx car, "wide", 35 mm', "ohwx car; l'auto è là, 車", None,
    ]  # fmt: skip
    # The loader gives `file_name` to the first column of pictures that it meets.
    assert all(list(row) == ["file_name", "text", "mask_file_name"] for row in table)
    assert [row["mask_file_name"] for row in table] == [None, "masks/1.png", None]
    assert all(Image.open(root / "train" / row["file_name"]).size == (208, 160) for row in table)
    mask = Image.open(root / "train" / "masks" / "1.png")
    before = np.asarray(Image.open(full_project.masks_folder / "1.png"))
    assert mask.mode == "L" and (np.asarray(mask) == before).all()
    others = rows(root / "class_images" / "metadata.jsonl")
    assert {row["text"] for row in others} == {f"a photo of car {n}, in the snow" for n in range(5)}
    assert all((root / "class_images" / row["file_name"]).is_file() for row in others)


def test_without_masks_there_is_no_column_of_them(full_project, tmp_path):
    (full_project.masks_folder / "1.png").unlink()
    root = export_dataset(full_project, tmp_path / "out", format="imagefolder")
    assert all(
        row.keys() == {"file_name", "text"} for row in rows(root / "train" / "metadata.jsonl")
    )


def test_it_says_no_subject_so_it_asks(full_project, tmp_path):
    root = export_dataset(full_project, tmp_path / "out", format="imagefolder")
    with pytest.raises(DatasetError, match=r"kind of thing it shows; say it: --class car\.$"):
        import_dataset(root, tmp_path / "again")
    assert not (tmp_path / "again").exists()
