"""Datasets of other trainers: kohya's sd-scripts, Hugging Face's imagefolder; read and written."""

from packshot.datasets.dataset import Dataset, Entry
from packshot.datasets.exporting import export_dataset
from packshot.datasets.importing import Imported, import_dataset, read_dataset

__all__ = ["Dataset", "Entry", "Imported", "export_dataset", "import_dataset", "read_dataset"]
