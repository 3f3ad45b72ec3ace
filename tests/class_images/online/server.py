"""A server on this machine that answers as Openverse, Wikimedia Commons and the sites of pictures do.

Paging and its depth, page sizes, rate limits and errors follow what the two document; what the
sites do wrong is what sites do wrong.
"""

import collections
import contextlib
import functools
import io
import json
import math
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from packshot.class_images.online.rate_limit import Clock

TOKEN = "let-me-in"
LIMITS = {"anon": ((20, 60), (200, 86_400)), "oauth2": ((100, 60), (10_000, 86_400))}
MOST_ON_A_PAGE = {"anon": 20, "oauth2": 50}
DEPTH = 240
LICENCES = ("by", "cc0", "by", "pdm", "by")


class FastClock(Clock):
    """The time of this machine, so many times as fast; the same in all processes."""

    def __init__(self, times):
        self.times = times

    def now(self):
        return time.time() * self.times

    def wait(self, seconds, cancelled):
        cancelled.wait(seconds / self.times)


@functools.lru_cache(maxsize=64)
def jpeg(number, quality=90):
    """A small picture that is like no other, as a JPEG."""
    blocks = np.random.default_rng(number).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1))
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class Web:
    """What there is: pictures by number, and what goes wrong with them.

    Args:
        clock: of the server, for its rate limits.
        bad: kinds of pictures that never come, or must not be kept, by number.
        faults: what goes wrong the first time that a picture (or page, by its count) is asked for.
        kills: after so many requests for pictures the client is killed.
    """

    def __init__(self, clock, *, results=240, bad=None, faults=None, api_faults=None, kills=()):
        self.clock, self.results, self.kills = clock, results, sorted(kills)
        self.bad, self.faults, self.api_faults = bad or {}, faults or {}, dict(api_faults or {})
        self.depth = DEPTH
        self.lock = threading.Lock()
        self.queries = {}
        self.asked = collections.Counter()
        self.given = collections.Counter()
        self.pages = collections.Counter()
        self.pages_given = collections.Counter()
        self.requests = collections.defaultdict(list)
        self.exceeded = 0
        self.agents = set()
        self.client = None
        self.killed = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, self))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.allow = frozenset({("127.0.0.1", self.port), ("localhost", self.port)})
        self.openverse = f"http://127.0.0.1:{self.port}/v1/images/"
        self.commons = f"http://127.0.0.1:{self.port}/w/api.php"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def picture(self, number):
        return f"http://localhost:{self.port}/{number}.jpg"

    def numbers(self, query):
        """What a query finds; each shares a sixth with the one before."""
        with self.lock:
            place = self.queries.setdefault(query, len(self.queries))
        start = place * self.results * 5 // 6
        return range(start, start + self.results)

    def over_limit(self, scope):
        """Whether one more request is too many; it is counted."""
        with self.lock:
            now, times = self.clock.now(), self.requests[scope]
            times.append(now)
            over = any(
                sum(at > now - seconds for at in times) > most for most, seconds in LIMITS[scope]
            )
            self.exceeded += over
            return over

    def kill_if_it_is_time(self):
        with self.lock:
            if self.kills and self.client and sum(self.asked.values()) >= self.kills[0]:
                self.kills.pop(0)
                self.killed += 1
                os.kill(self.client, signal.SIGKILL)
                self.client = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, web, *args):
        self.web = web
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self):
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.web.agents.add(self.headers["User-Agent"])
        if parts.path == "/hello":
            self.web.client = int(asked["pid"])
            return self.say({})
        if parts.path == "/v1/images/":
            return self.openverse(asked)
        if parts.path == "/w/api.php":
            return self.commons(asked)
        number = parts.path.strip("/").removesuffix(".jpg")
        return self.picture(int(number)) if number.isdigit() else self.say(b"", 404)

    def say(self, value, status=200, **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        kind = headers.pop("content_type", "application/json")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), str(text))
        self.end_headers()
        self.wfile.write(data)

    def say_with_fault(self, fault, data, kind):
        """An answer that a fault spoils, but not for ever."""
        if fault == "429":
            return self.say({"detail": "Request was throttled."}, 429, Retry_After=1)
        if fault in ("500", "502", "503"):
            return self.say(b"<html>", int(fault), content_type="text/html")
        if fault == "html":
            return self.say(b"<html>Please wait</html>", content_type="text/html")
        self.close_connection = True
        if fault == "reset":
            return None
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if fault == "truncated":
            self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if fault == "slow":
            for start in range(0, len(data), 512):
                self.wfile.write(data[start : start + 512])
                time.sleep(0.002)
            return None
        return self.wfile.write(data[: len(data) // 2])

    # Openverse

    def openverse(self, asked):
        token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        scope = "oauth2" if token else "anon"
        if self.headers.get("Authorization") and not token:
            return self.say({"detail": "Authentication credentials were not provided."}, 401)
        if self.web.over_limit(scope):
            return self.say({"detail": "Request was throttled."}, 429, Retry_After=60)
        self.web.pages[self.path] += 1
        size, page = int(asked.get("page_size", 20)), int(asked.get("page", 1))
        if size > MOST_ON_A_PAGE[scope]:
            detail = f"page_size must be between 1 & {MOST_ON_A_PAGE[scope]}"
            return self.say({"detail": detail}, 401 if scope == "anon" else 400)
        if size * page > self.web.depth:
            return self.say({"error": "InputError", "detail": "too deep", "fields": ["page"]}, 400)
        numbers = self.web.numbers(asked["q"])
        answer = {
            "result_count": 10_000,
            "page_count": min(DEPTH // size, math.ceil(len(numbers) / size)),
            "page_size": size,
            "page": page,
            "results": [self.item(n) for n in numbers[(page - 1) * size : page * size]],
        }
        fault = self.web.api_faults.pop(sum(self.web.pages.values()), None)
        data = json.dumps(answer).encode()
        if fault:
            return self.say_with_fault(fault, data, "application/json")
        self.say(data, X_RateLimit_Limit_anon_burst="20/min")
        self.web.pages_given[self.path] += 1
        return None

    def item(self, number):
        licence = LICENCES[number % len(LICENCES)]
        return {
            "id": f"{number:032x}",
            "title": f"Car [{number}]",
            "foreign_landing_url": f"https://example.org/photos/{number}",
            "url": self.web.picture(number),
            "creator": f"Ada {number % 50}",
            "license": licence,
            "license_version": "2.0" if licence == "by" else "1.0",
            "license_url": f"https://creativecommons.org/licenses/{licence}/2.0/",
            "provider": "flickr",
            "category": "photograph",
            "filetype": "jpg",
            "tags": [{"name": "car", "accuracy": None}],
            "width": 1024,
            "height": 768,
        }

    # Wikimedia Commons

    def commons(self, asked):
        if "@" not in self.headers["User-Agent"]:
            return self.say(
                b"Set a user-agent with contact details", 403, content_type="text/plain"
            )
        self.web.pages[self.path] += 1
        fault = self.web.api_faults.pop(sum(self.web.pages.values()), None)
        if fault == "maxlag":
            error = {"code": "maxlag", "info": "Waiting for a database server: 6 seconds lagged"}
            return self.say({"error": error}, Retry_After=5)
        query = asked["gsrsearch"].split(" filetype:")[0]
        start, size = int(asked.get("gsroffset", 0)), int(asked["gsrlimit"])
        numbers = self.web.numbers(query)
        pages = [self.page(n, i) for i, n in enumerate(numbers[start : start + size], start + 1)]
        answer = {"batchcomplete": True, "query": {"pages": pages[::-1]}}
        if start + size < len(numbers):
            answer["continue"] = {"gsroffset": start + size, "continue": "gsroffset||"}
        return self.say(answer)

    def page(self, number, index):
        page = {"pageid": number, "ns": 6, "title": f"File:Car {number}.jpg", "index": index}
        if number % 7 == 6:  # deleted, still in the index
            return page | {"missing": True}
        names = ("CC BY 4.0", "CC0", "CC BY-SA 4.0", "Public domain", "GFDL")
        name = names[number % 5]
        told = {
            "LicenseShortName": {"value": name, "source": "commons-desc-page"},
            "Artist": {"value": f'<a href="//x" title="User:Ada">Ada &amp; {number}</a>'},
        }
        if name == "CC BY 4.0":
            told["LicenseUrl"] = {"value": "https://creativecommons.org/licenses/by/4.0"}
        info = {
            "url": "http://localhost:1/original.jpg",
            "thumburl": self.web.picture(number),
            "thumbwidth": 1280,
            "thumbheight": 853,
            "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Car_{number}.jpg",
            "width": 6000,
            "height": 4000,
            "mime": "image/jpeg",
            "extmetadata": told,
        }
        return page | {"imageinfo": [info]}

    # Sites of pictures

    def picture(self, number):
        with self.web.lock:
            self.web.asked[number] += 1
            fault = self.web.faults.get(number) if self.web.asked[number] == 1 else None
        self.web.kill_if_it_is_time()
        bad = self.web.bad.get(number)
        if bad:
            return self.spoilt(bad, number)
        data = jpeg(number)
        if fault and fault != "moved":
            self.say_with_fault(fault, data, "image/jpeg")
            self.web.given[number] += fault == "slow"
            return None
        if fault == "moved":
            return self.say(b"", 302, Location=f"/{number}.jpg")
        self.say(data, content_type="image/jpeg")
        self.web.given[number] += 1
        return None

    def spoilt(self, bad, number):
        if isinstance(bad, Path):
            return self.say(bad.read_bytes(), content_type="image/jpeg")
        if bad.startswith("to "):
            return self.say(b"", 302, Location=bad[3:])
        if bad.isdigit():
            return self.say(b"", int(bad))
        if bad == "copy":
            return self.say(jpeg(number - 1), content_type="image/jpeg")
        if bad == "nearly":
            return self.say(jpeg(number - 1, quality=60), content_type="image/jpeg")
        if bad == "huge":
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(10**10))
            self.end_headers()
            self.close_connection = True
            return None
        answers = {
            "html": (b"<html>Not here any more</html>", {"content_type": "text/html"}),
            "html as jpeg": (b"<html>Not here any more</html>", {"content_type": "image/jpeg"}),
            "svg": (b"<svg/>", {"content_type": "image/svg+xml"}),
            "noai": (jpeg(number), {"content_type": "image/jpeg", "X_Robots_Tag": "noai"}),
            "damaged": (jpeg(number)[:500], {"content_type": "image/jpeg"}),
        }
        data, headers = answers[bad]
        return self.say(data, **headers)
