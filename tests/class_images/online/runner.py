"""A gathering in a process of its own, started anew whenever it is killed. Imports once, forks."""

import json
import os
import sys
import traceback
from pathlib import Path
from urllib.request import urlopen

from packshot.class_images.online.collect import download_from
from packshot.class_images.online.download import Fetcher
from packshot.class_images.online.licences import FREE
from packshot.class_images.online.openverse import Openverse
from packshot.project import open_project
from tests.class_images.online.server import TOKEN, FastClock


def gather(root, port, count, times):
    urlopen(f"http://127.0.0.1:{port}/hello?pid={os.getpid()}").read()
    allow = frozenset({("127.0.0.1", port), ("localhost", port)})
    fetcher = Fetcher("ada@example.org", FastClock(times), allow)
    source = Openverse("car", FREE, TOKEN, api=f"http://127.0.0.1:{port}/v1/images/")
    download_from(open_project(Path(root)), [source], fetcher, count, FREE, min_side=64)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    statuses = []
    while not statuses or statuses[-1] == 9:  # killed
        child = os.fork()
        if not child:
            try:
                gather(**settings)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        statuses.append(os.waitpid(child, 0)[1])
    print(json.dumps(statuses))
