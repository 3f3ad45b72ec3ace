"""Answers for the `answering` fixture's fetcher."""

import httpx

URL = "https://pictures.example/1.jpg"
JPEG = {"content-type": "image/jpeg"}


def replies(*answers):
    """Gives these answers in turn, the last for ever; counts how often it was asked."""
    left, asked = list(answers), []

    def handler(request):
        asked.append(request)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    handler.asked = asked
    return handler


def picture(headers=None, data=b"data", status=200):
    return httpx.Response(status, headers=JPEG | (headers or {}), content=data)


def fail(status, **headers):
    return httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()})
