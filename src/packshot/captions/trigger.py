"""Putting the trigger into a free caption: the captioner's words for the product are replaced.

A free caption ("The image shows a shiny red SUV parked in the snow.") becomes a training caption
("a photo of ohwx car parked in the snow"). The rules, on words only, without a parser:

- The first mention of the product (the class noun, a synonym or the product's name, in the singular)
  becomes trigger and class noun. Its article and adjectives are removed, because what a caption
  describes is not trained into the trigger. Only its state at the time ("parked", "muddy") stays.
- Later definite mentions ("the vehicle", its name) become "the car". Indefinite ones ("another
  car", "two cars", "a blue car") are other things, and stay.
- A word that only contains the noun ("car park", "cardboard") is no mention.
- All else stays, with consistent wording. If there is no mention, the caption is put after "a photo
  of ohwx car".

Other descriptions of the product ("the car is red", "with black wheels") stay too: remove them in
the review.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from packshot.captions.vocabulary import Words, normalize_wording, plural, words
from packshot.images.sidecars import MAX_CAPTION
from packshot.settings import Subject

_WORD = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*")
_MOST_ADJECTIVES = 6
_KINDS_OF_PICTURE = "photo|photograph|picture|image|shot|view|close[- ]?up"
_FRAMED = re.compile(
    rf"(?:(?:an?|the) )?((?:[\w-]+ ){{0,3}}?)({_KINDS_OF_PICTURE})(?: (?:photo|shot|view|image))? of\s+",
    re.IGNORECASE,
)
"""How a caption may begin that says how the picture was taken: "a low angle view of"."""


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Mention:
    """The noun phrase text[start:end]; `kept` are its words that stay in the caption."""

    start: int
    end: int
    kept: tuple[str, ...]
    definite: bool
    """Whether it says which one: "the car", the name. Else it is "a car", or bare."""
    other: bool
    """Whether it must be something else than the product."""


def with_trigger(text: str, subject: Subject) -> str:
    """Convert a free caption to a training caption: one line with trigger and class noun.

    A caption that has them already is only normalised in its wording.
    """
    text = " ".join(text.split()).strip(" \"'“”`*")
    if text.startswith("a photo of ") and subject.phrase in text:
        return _fitted(normalize_wording(_tidy(text)), subject)
    description, remark = _opened(text)
    description = _sentences_joined(description)
    mentions = [mention for mention in _Mentions(subject).of(description) if not mention.other]
    if not mentions:
        caption = ", ".join(part for part in (f"a photo of {subject.phrase}", description) if part)
    else:
        caption = "a photo of " + _replaced(description, mentions, subject)
    return _fitted(normalize_wording(_tidy(caption + remark)), subject)


def tags_with_trigger(tags: Sequence[str], subject: Subject) -> str:
    """Convert tags to a training caption: trigger and class noun, then the other tags.

    Dropped are tags of the product (its noun, also with adjectives or counted: "red car", "1car") and
    those without a description of place, light or view ("no humans", "highres").
    """
    mentions, known = _Mentions(subject), words()
    kept: list[str] = []
    for tag in tags:
        plain = " ".join(tag.split())
        bare = re.sub(r"^\d+\+?", "", plain.lower()).strip()
        if (
            plain
            and bare not in known.meta_tags
            and not mentions.is_name(bare)
            and plain not in kept
        ):
            kept.append(plain)
    return _fitted(normalize_wording(", ".join([subject.phrase, *kept])), subject)


def _opened(text: str) -> tuple[str, str]:
    """The caption without empty words at its start; and the view named there, for its end."""
    remark, before = "", None
    while text != before:
        before = text = text.lstrip(" ,.;:!")
        text = words().openers.sub("", text, count=1) if words().openers.match(text) else text
        if (framed := _FRAMED.match(text)) and _only_adjectives(framed[1].lower()):
            text = text[framed.end() :]
            remark = _remark(framed[1].strip().lower(), framed[2].lower()) + remark
    return text, remark


def _only_adjectives(text: str) -> bool:
    """Whether the words can precede "view": not "a man taking a"."""
    known = words()
    never = known.stops - {"and", "front", "up", "down"} | known.definite | known.indefinite
    return not any(word in never or word.endswith("ing") for word in text.split())


def _remark(adjectives: str, kind: str) -> str:
    """ ", low angle view" of "a low angle view of"; nothing of "a photo of" and "a nice photo of"."""
    if kind.startswith("close"):
        return ", close-up"
    if adjectives in words().attributes or not adjectives:
        return ""
    return f", {adjectives} view" if kind == "view" else f", {adjectives}"


def _sentences_joined(text: str) -> str:
    """Joins sentences by commas: "…. The sky" becomes "…, the sky"."""
    known = words()
    articles = known.definite | known.indefinite | known.stops | known.unlike

    def joined(end: re.Match[str]) -> str:
        first = end[1]
        return ", " + (first.lower() if first.lower() in articles else first)

    text = re.sub(r"[.;!]+\s+([^\W\d_]+)", joined, text).rstrip(" .;!,")
    head = _WORD.match(text)
    if head and head[0].lower() in articles:
        text = head[0].lower() + text[head.end() :]
    return text


def _replaced(text: str, mentions: Sequence[_Mention], subject: Subject) -> str:
    parts, end = [], 0
    for index, mention in enumerate(mentions):
        if index and not mention.definite:
            continue
        name = f"the {subject.class_noun}" if index else " ".join((*mention.kept, subject.phrase))
        parts += [text[end : mention.start], name]
        end = mention.end
    return "".join([*parts, text[end:]])


def _tidy(caption: str) -> str:
    """Normalises spaces and commas."""
    caption = re.sub(r"\s+([,.;:])", r"\1", " ".join(caption.split()))
    return re.sub(r"(?:,\s*)+,", ",", caption).strip(" ,.;:")


def _fitted(caption: str, subject: Subject) -> str:
    """Cuts the caption to a side-car's maximum length, after a whole part or else a word."""
    if len(caption) <= MAX_CAPTION:
        return caption
    cut = caption[: MAX_CAPTION + 1]
    whole = cut.rpartition(", ")[0]
    return whole if subject.phrase in whole else cut.rpartition(" ")[0]


class _Mentions:
    """Finds mentions of the product in a text."""

    def __init__(self, subject: Subject) -> None:
        self.known: Words = words()
        nouns = self.known.nouns(subject.class_noun)
        many = {plural(noun) for noun in nouns} - nouns
        if subject.class_noun.lower().endswith("s"):  # a plural itself: shoes
            nouns, many = nouns | many, set()
        self._nouns = {_split(noun) for noun in nouns}
        self._many = {_split(noun) for noun in many}
        self._names = {_split(subject.name.lower())} - self._nouns
        # In lower case they may be words like any other: "ridge".
        self._proper = {
            word
            for word in _split(subject.name)
            if len(word) > 2 and word[0].isupper() and (word.lower(),) not in self._nouns
        } - {word.capitalize() for word in self.known.attributes}
        self._trigger = subject.trigger

    def is_name(self, tag: str) -> bool:
        """Whether a whole lower-case tag is only a name of the product: "sports car"."""
        tokens = _tokens(tag)
        spans = [span for span in self._heads(tokens, tag)]
        if not spans or spans[-1][1] != len(tokens):
            return False
        first = spans[-1][0]
        return not any(
            token.text in self.known.unlike | self.known.stops for token in tokens[:first]
        )

    def of(self, text: str) -> Iterator[_Mention]:
        """The mentions in a text, in order, including other things of the class."""
        tokens, after = _tokens(text), 0
        for first, last in self._heads(tokens, text):
            mention = self._mention(text, tokens, first, last, after)
            after = last
            if mention:
                yield mention

    def _heads(self, tokens: Sequence[_Token], text: str) -> Iterator[tuple[int, int]]:
        """Ranges of tokens that name the product: "SUV", "Dacia Duster", "Duster car"."""
        index = 0
        while index < len(tokens):
            last = index
            while last < len(tokens) and (length := self._length(tokens, last, text)):
                begun = last > index
                if begun and tokens[last].text == self._trigger:
                    break  # with it another name begins: "cars ohwx car"
                if begun and not _spaced(text, tokens[last - 1], tokens[last]):
                    break
                last += length
            if last == index:
                index += 1
                continue
            following = tokens[last] if last < len(tokens) else None
            if not (
                following
                and following.text.lower() in self.known.compounds
                and _spaced(text, tokens[last - 1], following)
            ):
                yield index, last
            index = last

    def _length(self, tokens: Sequence[_Token], index: int, text: str) -> int:
        """The number of tokens of the longest name that starts at `index`."""
        for length in range(min(4, len(tokens) - index), 0, -1):
            chosen = tokens[index : index + length]
            if any(not _spaced(text, *pair) for pair in pairwise(chosen)):
                continue
            lower = tuple(part for token in chosen for part in _split(token.text.lower()))
            if lower in self._nouns | self._many | self._names:
                return length
        exact = tokens[index].text
        return int(exact in self._proper or exact == self._trigger)

    def _mention(
        self, text: str, tokens: Sequence[_Token], first: int, last: int, after: int
    ) -> _Mention | None:
        """The noun phrase of a name, from its article on; None if it is part of another word."""
        article, start = self._article(text, tokens, first, after)
        before = tokens[start:first]
        named = self._is_named(tokens[first:last])
        lower = tuple(part for t in tokens[first:last] for part in _split(t.text.lower()))
        if not (before or article or named) and " ".join(lower) in self.known.ambiguous:
            return None
        kept = tuple(t.text for t in before if t.text.lower() in self.known.situations)
        unlike = any(t.text.lower() in self.known.unlike for t in before)
        begins = tokens[start - 1].start if article else tokens[start].start
        return _Mention(
            start=begins,
            end=tokens[last - 1].end,
            kept=kept,
            definite=named or article in self.known.definite,
            other=not named and (unlike or self._is_many(tokens[first:last])),
        )

    def _article(
        self, text: str, tokens: Sequence[_Token], first: int, after: int
    ) -> tuple[str, int]:
        """The article before a name, if any, and where the adjectives begin.

        Without an article only known adjectives count: of "man driving red car", "red".
        """
        known, start = self.known, first
        for index in range(first - 1, max(after, first - _MOST_ADJECTIVES - 1) - 1, -1):
            word = tokens[index].text.lower()
            between = text[tokens[index].end : tokens[index + 1].start]
            adjective = word in known.attributes | known.situations
            listed = adjective and tokens[index + 1].text.lower() in known.attributes | {"and"}
            if between != " " and not (between == ", " and listed):
                break
            if word in known.definite | known.indefinite:
                return word, index + 1
            joins = word == "and" and index and tokens[index + 1].text.lower() in known.attributes
            if joins and tokens[index - 1].text.lower() in known.attributes:
                continue
            doing = word.endswith("ing") and not adjective and word not in known.unlike
            if word in known.stops or doing:
                break
            if start == index + 1 or tokens[index + 1].text.lower() == "and":
                start = index if adjective or word in known.unlike else start
        return "", start

    def _is_named(self, tokens: Sequence[_Token]) -> bool:
        lower = tuple(part for token in tokens for part in _split(token.text.lower()))
        proper = any(token.text in self._proper or token.text == self._trigger for token in tokens)
        return proper or any(
            lower[i : i + len(name)] == name for name in self._names for i in range(len(lower))
        )

    def _is_many(self, tokens: Sequence[_Token]) -> bool:
        lower = tuple(part for token in tokens for part in _split(token.text.lower()))
        return any(lower[-len(noun) :] == noun for noun in self._many)


def _tokens(text: str) -> list[_Token]:
    return [_Token(found[0], found.start(), found.end()) for found in _WORD.finditer(text)]


def _split(name: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[\s_-]+", name) if part)


def _spaced(text: str, one: _Token, other: _Token) -> bool:
    """Whether two tokens are separated by a space only."""
    return text[one.end : other.start] == " "
