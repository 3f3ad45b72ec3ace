"""A person's edits of captions: replace, lock, unlock. All are validated before any is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packshot.errors import CaptionError
from packshot.images.sidecars import MAX_CAPTION
from packshot.photos.manifest import PERSON
from packshot.photos.photo_set import Photo, list_photos, set_caption_locks, write_captions
from packshot.project import Project
from packshot.settings import Subject


@dataclass(frozen=True)
class EditedCaptions:
    """The result of an edit: the photos whose captions changed, and notes for the user."""

    changed: list[Photo]
    notes: list[str] = field(default_factory=list)


def replace_in_captions(
    project: Project, rules: Sequence[tuple[str, str]], *, regex: bool = False
) -> EditedCaptions:
    """Replace words in all captions that are not locked, one rule after the other.

    A changed caption counts as written by a person from then on: it is never overwritten.

    Args:
        rules: (text to find, replacement).
        regex: the texts to find are regular expressions, and `\\\\1` is the first group.

    Raises:
        CaptionError: an invalid rule, or an empty or too long result; nothing was written.
        ProjectError: another process works on the project.
    """
    compiled = [_compiled(old, new, regex) for old, new in rules]
    with project.held():
        captions: dict[str, str] = {}
        photos = list_photos(project)
        for photo in photos:
            if photo.caption is None or photo.caption_locked:
                continue
            text = photo.caption
            for pattern, new in compiled:
                text = _substituted(pattern, new, text)
            captions[photo.file.name] = " ".join(text.split())
        return write_edited(project, photos, captions)


def edit_captions(
    project: Project, captions: Mapping[str, str], by: Mapping[str, str] | None = None
) -> EditedCaptions:
    """Write captions of a person's, by the names of their photos; the others stay.

    Args:
        by: the captioners of those that a person has not written, as when an edit is undone.

    Raises:
        CaptionError: no photo has such a name, or a caption is empty, too long, or of a locked photo;
            nothing was written.
        ProjectError: another process works on the project.
    """
    with project.held():
        photos = list_photos(project)
        asked = zip(named(photos, list(captions)), captions.values(), strict=True)
        texts = {p.file.name: " ".join(t.split()) for p, t in asked}
        return write_edited(project, photos, texts, by)


def rule_of(text: str) -> tuple[str, str]:
    """Parse OLD=>NEW into (text to find, replacement).

    Raises:
        CaptionError: the text has another form.
    """
    old, arrow, new = text.partition("=>")
    if not (old and arrow):
        raise CaptionError(f'--replace {text!r}: write "OLD=>NEW", such as "dusk=>sunset".')
    return old, new


def _compiled(old: str, new: str, regex: bool) -> tuple[re.Pattern[str], str]:
    if not old:
        raise CaptionError("What is to be replaced is empty.")
    if not regex:
        return re.compile(re.escape(old)), new.replace("\\", r"\\")
    try:
        return re.compile(old), new
    except (re.error, RecursionError, OverflowError) as error:
        raise CaptionError(f"{old!r} is no regular expression: {error}.") from error


def _substituted(pattern: re.Pattern[str], new: str, text: str) -> str:
    try:
        return pattern.sub(new, text)
    except (re.error, IndexError) as error:
        raise CaptionError(f"{new!r} cannot be put for {pattern.pattern!r}: {error}.") from error


def write_edited(
    project: Project,
    shown: Sequence[Photo],
    captions: Mapping[str, str],
    by: Mapping[str, str] | None = None,
) -> EditedCaptions:
    """Write a person's captions, by photo name, where they differ; the caller holds the project.

    Args:
        by: as of `edit_captions`.

    Raises:
        CaptionError: a caption is empty, too long, or of a locked photo; nothing was written.
    """
    changed = [(p, captions[p.file.name]) for p in shown if _differs(p, captions)]
    if faults := [fault for photo, text in changed if (fault := _fault(photo, text))]:
        raise CaptionError("\n".join(["No caption was changed:", *faults]))
    written: dict[str, list[tuple[Photo, str]]] = {}
    for photo, text in changed:
        written.setdefault((by or {}).get(photo.file.name, PERSON), []).append((photo, text))
    for author, theirs in written.items():
        write_captions(project, theirs, author)
    names = {photo.file.name for photo, _ in changed}
    stand = [photo for photo in list_photos(project) if photo.file.name in names]
    return EditedCaptions(stand, notes_on(stand, project.subject))


def _differs(photo: Photo, captions: Mapping[str, str]) -> bool:
    return captions.get(photo.file.name, photo.caption or "") != (photo.caption or "")


def _fault(photo: Photo, text: str) -> str | None:
    name = photo.file.name
    if photo.caption_locked:
        return f"  {name}: is locked; unlock it first: packshot caption --unlock {name}"
    if not text:
        return f"  {name}: would be empty; say what the photo shows, or leave it as it is"
    if len(text) > MAX_CAPTION:
        return f"  {name}: would have {len(text)} characters; {MAX_CAPTION} are read"
    return None


def notes_on(shown: Sequence[Photo], subject: Subject) -> list[str]:
    """Notes on captions without the trigger: the trigger is not trained by these photos."""
    return [
        f"{photo.file.name}: the caption lacks the trigger {subject.trigger!r}"
        for photo in shown
        if photo.caption and not subject.is_named_in(photo.caption)
    ]


def lock_captions(project: Project, names: Sequence[str]) -> list[Photo]:
    """Lock captions: no command changes them until they are unlocked. Returns their photos.

    Args:
        names: of photos, with or without endings.

    Raises:
        CaptionError: no photo has such a name, or it has no caption yet; nothing was locked.
        ProjectError: another process works on the project.
    """
    return _set_locked(project, names, True)


def unlock_captions(project: Project, names: Sequence[str]) -> list[Photo]:
    """Undo `lock_captions`, likewise."""
    return _set_locked(project, names, False)


def _set_locked(project: Project, names: Sequence[str], locked: bool) -> list[Photo]:
    with project.held():
        chosen = named(list_photos(project), names)
        bare = [photo.file.name for photo in chosen if photo.caption is None]
        if locked and bare:
            raise CaptionError(f"There is no caption to lock yet: {', '.join(bare)}.")
        set_caption_locks(project, chosen, locked)
        wanted = {photo.file.name for photo in chosen}
        return [photo for photo in list_photos(project) if photo.file.name in wanted]


def named(shown: Sequence[Photo], names: Sequence[str]) -> list[Photo]:
    """The photos with these names, with or without endings or folders.

    Raises:
        CaptionError: no photo has one of the names.
    """
    by_name = {photo.file.stem: photo for photo in shown}
    by_name |= {photo.file.name: photo for photo in shown}
    last = {name: Path(name).name for name in names}
    if unknown := [name for name, plain in last.items() if plain not in by_name]:
        raise CaptionError(
            f"The project has no photo {', '.join(map(repr, unknown))}. It has: "
            f"{', '.join(photo.file.name for photo in shown[:20])}{' …' if len(shown) > 20 else ''}"
        )
    return [by_name[plain] for plain in last.values()]
