"""Who hears nothing agrees to nothing."""

from packshot.utils.progress import Observer, silent


def test_who_hears_nothing_agrees_to_nothing():
    observer = Observer()
    assert observer.agrees("Fetch 5 GB?") is False and observer.insists is False
    heard = [observer.progress("photos", 1, 2), observer.say("x"), silent("photos", 1, 2)]
    assert heard == [None] * 3
