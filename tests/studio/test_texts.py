"""Both languages say the same things, and the pages say nothing that is not in their tables."""

import re
from pathlib import Path

import packshot.studio
from packshot.studio import texts

STUDIO = Path(packshot.studio.__file__).parent
ENGLISH, ITALIAN = texts.texts_in("en").table, texts.texts_in("it").table


def fields(text):
    return set(re.findall(r"{(\w+)}", text))


def test_the_languages_have_the_same_keys_and_fields():
    assert ENGLISH.keys() == ITALIAN.keys()
    assert {k: fields(v) for k, v in ENGLISH.items()} == {k: fields(v) for k, v in ITALIAN.items()}


def test_each_key_of_a_template_is_there():
    keys = set()
    for file in [*STUDIO.glob("templates/*"), *STUDIO.glob("views/*.py")]:
        said = r"""\bt\('([\w.-]+)'[,)]|notice\(\s*"([\w.]+)\""""
        keys |= {a or b for a, b in re.findall(said, file.read_text())}
    assert keys and not {k for k in keys if not {k, f"{k}.other"} & ENGLISH.keys()}


def test_no_template_has_words_of_its_own():
    """What remains of a template without tags, comments and expressions has no letters."""
    for file in STUDIO.glob("templates/*.html"):
        plain = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", file.read_text(), flags=re.S)
        plain = re.sub(r"<(title|pre)\b.*?</\1>|<[^>]*>", "", plain, flags=re.S)
        words = set(re.findall(r"[A-Za-z]{2,}", re.sub(r"&\w+;", "", plain))) - {
            "Packshot",
            "GiB",
            "px",
        }
        assert not words, (file.name, words)


def test_numbers_choose_the_form():
    assert texts.texts_in("en")("projects.photos", n=1) == "1 photo"
    assert texts.texts_in("en")("projects.photos", n=2) == "2 photos"


def test_values_are_escaped():
    said = texts.texts_in("it")("photos.removed", name="<b>x</b>")
    assert said == "&lt;b&gt;x&lt;/b&gt; è fuori dal progetto."


def test_the_browsers_language_is_taken():
    assert texts.preferred("fr-FR,it;q=0.8,en;q=0.5") == "it"
    assert texts.preferred("fr") == "en"


def test_each_stop_of_the_tour_has_its_words():
    from packshot.studio.views import tour

    source = Path(tour.__file__).read_text()
    keys = set(re.findall(r'Stop\(\s*"([\w.-]+)"', source)) | set(
        re.findall(r'else "([\w-]+\.[\w_]+)"[,)]', source)
    )
    keys |= {f"{here}.{kind}" for here, (kinds, _) in tour._STOPS.items() for kind in kinds}
    assert len(keys) > 30 and {key for key in keys if f"tour.{key}" not in ENGLISH} == set()
