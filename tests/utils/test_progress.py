import inspect

from packshot.cli.console import Console
from packshot.utils.progress import Observer, silent


def methods_of(kind):
    return {name: one for name, one in vars(kind).items() if inspect.isfunction(one)}


def test_who_hears_nothing_agrees_to_nothing_and_never_stops():
    observer = Observer()
    assert observer.agrees("Fetch 5 GB?") is False and observer.should_stop() is False
    assert observer.insists is False
    assert [observer.progress("photos", 1, 2), observer.say("x"), silent("photos", 1, 2)] == [
        None
    ] * 3


def test_the_console_hears_all_that_is_told():
    assert issubclass(Console, Observer)
    for name, told in methods_of(Observer).items():
        heard = getattr(Console, name)
        assert heard is not told, f"{name} is not heard"
        words = ["" for _ in inspect.signature(told).parameters]
        inspect.signature(heard).bind(*words)  # as it is called
