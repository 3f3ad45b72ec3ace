"""Only addresses of the internet are connected to, whatever name or redirect leads to them."""

import contextlib
import socket
import threading
import time

import httpx
import pytest

from packshot.class_images.online import public_http
from packshot.class_images.online.public_http import AddressRefused, PublicTransport, is_public

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1",
    "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "::127.0.0.1", "64:ff9b:1::7f00:1", "2001:0:7f00:1::", "fec0::1",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(address)


@pytest.fixture
def listener():
    """A server of somebody's that must not be reached; says how many have come."""
    with socket.create_server(("127.0.0.2", 0)) as server:
        came = []

        def listen():
            while True:
                try:
                    came.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


def resolving(monkeypatch, *answers):
    """Names resolve to these in turn, the last for ever."""
    left = list(answers)

    def getaddrinfo(host, port, *_args, **_kwargs):
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def get(url, allow=()):
    with httpx.Client(transport=PublicTransport(2, allow)) as client:
        return client.get(url)


@pytest.mark.parametrize("host", ("127.0.0.2", "[::ffff:127.0.0.2]", "0x7f.0.0.2", "2130706434"))
def test_nothing_is_sent_to_a_private_address(listener, host):
    port, came = listener
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2, which is no address of the internet"):
        get(f"http://{host}:{port}/")
    assert not came


def test_nor_to_a_name_that_means_one(listener, monkeypatch):
    port, came = listener
    resolving(monkeypatch, ["1.1.1.1", "127.0.0.2"])
    with pytest.raises(AddressRefused, match=r"shop\.example is at 127\.0\.0\.2"):
        get(f"http://shop.example:{port}/")
    assert not came


def test_a_name_that_resolves_anew_gains_nothing(listener, monkeypatch):
    """DNS rebinding: public when it is judged, private a moment later."""
    port, came = listener
    resolving(monkeypatch, ["1.1.1.1"], ["127.0.0.2"])
    connected = []

    def connect(address, *_args, **_kwargs):
        connected.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(httpx.ConnectError):
        get(f"http://shop.example:{port}/")
    assert connected == [("1.1.1.1", port)] and not came


def test_names_that_are_none():
    with pytest.raises(httpx.ConnectError, match="is not known"):
        get(f"http://{'a' * 70}.example/")


def test_the_next_address_is_tried_where_one_does_not_answer(web, monkeypatch):
    resolving(monkeypatch, ["127.0.0.3", "127.0.0.1"])
    assert get(web.picture(1), web.allow).status_code == 200


@pytest.mark.parametrize("start", (b"", b"HTTP/1.1 200 OK\r\n\r\n"), ids=("headers", "body"))
def test_what_trickles_is_cut_off(start, monkeypatch):
    """However steadily: no single wait is long."""
    monkeypatch.setattr(public_http, "MOST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def trickle():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(start)
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.01)

        threading.Thread(target=trickle, daemon=True).start()
        with pytest.raises(httpx.ReadTimeout):
            get(f"http://127.0.0.1:{address[1]}/", allow={address})


@pytest.mark.parametrize(
    "address", ["168.63.129.16", "::ffff:168.63.129.16", "161.26.0.10", "192.80.8.124"]
)
def test_a_clouds_own_services_are_not_public(address):
    assert not is_public(address)
