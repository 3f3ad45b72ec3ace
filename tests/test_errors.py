import pytest

from packshot.errors import InvalidPlanError, ModelLoadError, as_model_load_error


def raise_within(error):
    with as_model_load_error("a.gguf", "cannot be read", "Copy it again."):
        raise error


def test_what_a_library_raises_is_one_kind_of_error_with_its_reason():
    with pytest.raises(ModelLoadError) as refused:
        raise_within(KeyError("no such\n   key " + "x" * 900))
    words = str(refused.value)
    assert words.startswith("a.gguf cannot be read (KeyError: 'no such\\n key xxx")
    assert words.endswith("xx). Copy it again.") and len(words) < 400
    assert isinstance(refused.value.__cause__, KeyError)


@pytest.mark.parametrize("error", [InvalidPlanError("ours"), MemoryError(), KeyboardInterrupt()])
def test_our_own_errors_and_those_of_the_machine_pass(error):
    with pytest.raises(type(error)) as passed:
        raise_within(error)
    assert passed.value is error
