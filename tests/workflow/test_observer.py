"""Who follows a whole run: nothing by default, everything in the console."""

import inspect

from packshot.cli.console import Console
from packshot.workflow.observer import RunObserver


def test_who_hears_nothing_never_stops():
    observer = RunObserver()
    assert observer.should_stop() is False and observer.agrees("Fetch 5 GB?") is False
    assert observer.refused({"a.jpg": "is blurred"}) is None


def test_the_console_hears_all_that_is_told():
    assert issubclass(Console, RunObserver)
    told = {name for kind in RunObserver.__mro__[:-1] for name in vars(kind) if name[0] != "_"}
    for name in told - {"insists"}:
        heard, silent = getattr(Console, name), getattr(RunObserver, name)
        assert heard is not silent, f"{name} is not heard"
        words = ["" for _ in inspect.signature(silent).parameters]
        inspect.signature(heard).bind(*words)  # as it is called
