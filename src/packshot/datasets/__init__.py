"""Reading and writing datasets of other trainers: kohya's sd-scripts, Hugging Face's imagefolder."""

from packshot.datasets.exporter import export_dataset
from packshot.datasets.importer import ImportResult, import_dataset, read_dataset
from packshot.datasets.model import Dataset, Entry

__all__ = [
    "Dataset",
    "Entry",
    "ImportResult",
    "export_dataset",
    "import_dataset",
    "read_dataset",
]
