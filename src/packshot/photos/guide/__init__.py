"""The photo guide: what the photos lack for learning the product, and how to take it."""

from packshot.photos.guide.guide import find_gaps, photo_guide
from packshot.photos.guide.messages import LANGUAGES, PhotoAdvice, words_of
from packshot.photos.guide.photo_features import views_of

__all__ = [
    "LANGUAGES",
    "PhotoAdvice",
    "find_gaps",
    "photo_guide",
    "views_of",
    "words_of",
]
