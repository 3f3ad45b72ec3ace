"""Two that change the same file at once."""

import threading
from contextlib import contextmanager

from packshot.utils import files


@contextmanager
def another_writes_before(monkeypatch, meanwhile):
    """As what was read is about to be written, another thread does `meanwhile`, which reads and writes, too.

    Without a lock it is done before the first goes on; with one it waits until the first has written.
    """
    write, others = files.write_text, []

    def interrupted(path, text):
        if not others:
            others.append(threading.Thread(target=meanwhile))
            others[0].start()
            others[0].join(0.3)
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_text", interrupted)
        yield
        others[0].join()
