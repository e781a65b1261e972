"""The sockets of fronts: made with their modes, never over somebody else's, and who connects is asked of the kernel."""

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from dnsbound.edge.authz_sockets import (
    PeerUsers,
    TcpPlace,
    UnixPlace,
    bind_front,
    group_of,
    place_of,
    remove_socket,
    user_of,
)
from dnsbound.edge.listening_endpoint import Endpoint
from dnsbound.errors import Malformed, Misuse


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_az_10_a_socket_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    place = UnixPlace(path=tmp_path / "front.sock", mode=mode, group=os.getegid())
    former = os.umask(0o077)
    try:
        bound = bind_front(place)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(former)
    status = place.path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, os.getegid())
    remove_socket(place, bound)
    assert not place.path.exists()


def test_a_socket_that_is_left_over_gives_way_and_one_in_use_does_not(tmp_path: Path) -> None:
    place = UnixPlace(path=tmp_path / "front.sock")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(place.path))
    left.close()
    bound = bind_front(place)
    with pytest.raises(Misuse):
        bind_front(place)
    assert place.path.exists()
    bound.close()
    bound = bind_front(place)
    remove_socket(place, bound)


def test_nothing_but_a_socket_is_ever_taken_away(tmp_path: Path) -> None:
    place = UnixPlace(path=tmp_path / "front.sock")
    place.path.write_text("precious")
    with pytest.raises(Misuse):
        bind_front(place)
    assert place.path.read_text() == "precious"


def test_the_socket_of_a_successor_stays(tmp_path: Path) -> None:
    """As when a service is started anew while the old one ends."""
    place = UnixPlace(path=tmp_path / "front.sock")
    old = bind_front(place)
    place.path.rename(tmp_path / "moved.sock")
    new = bind_front(place)
    remove_socket(place, old)
    assert place.path.exists()
    remove_socket(place, new)


@pytest.mark.parametrize("path", ["/nowhere/at/all/front.sock", "/tmp/" + "x" * 200])
def test_a_place_that_cannot_be_is_one_line(path: str) -> None:
    with pytest.raises(Misuse) as caught:
        bind_front(UnixPlace(path=Path(path)))
    assert "\n" not in str(caught.value)


def test_the_directory_of_a_socket_is_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="there is no such directory"):
        bind_front(UnixPlace(path=tmp_path / "nowhere" / "front.sock"))


def test_a_port_in_use_is_one_line() -> None:
    first = bind_front(TcpPlace(endpoint=Endpoint(host="127.0.0.1", port=0)))
    place = TcpPlace(endpoint=Endpoint(host="127.0.0.1", port=first.getsockname()[1]))
    with first, pytest.raises(Misuse) as caught:
        bind_front(place)
    assert str(caught.value) == f"{place}: {os.strerror(errno.EADDRINUSE).lower()}"


@pytest.mark.parametrize(
    ("users", "groups", "admitted"),
    [
        ({os.geteuid()}, set(), True),
        (set(), {os.getegid()}, True),
        ({os.geteuid() + 1}, {os.getegid()}, True),
        ({os.geteuid() + 1}, {os.getegid() + 1}, False),
        (set(), set(), False),
    ],
)
def test_az_10_the_kernel_says_who_connects(
    tmp_path: Path, users: set[int], groups: set[int], *, admitted: bool
) -> None:
    place = UnixPlace(path=tmp_path / "front.sock")
    bound = bind_front(place)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place.path))
            accepted, _ = bound.accept()
            with accepted:
                assert PeerUsers(users=frozenset(users), groups=frozenset(groups)).admit(accepted) is admitted
    finally:
        remove_socket(place, bound)


def test_over_tcp_the_kernel_names_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            assert not PeerUsers(users=frozenset({os.geteuid()})).admit(accepted)
        del client


def test_places_are_read() -> None:
    assert place_of("unix:/run/dnsbound/a.sock", mode=0o660, group=7) == UnixPlace(
        path=Path("/run/dnsbound/a.sock"), mode=0o660, group=7
    )
    tcp = place_of("[::1]:9301", mode=0o666, group=None)
    assert tcp == TcpPlace(endpoint=Endpoint(host="::1", port=9301))
    assert isinstance(tcp, TcpPlace)
    assert tcp.is_loopback
    assert str(tcp) == "[::1]:9301"
    for text in ("unix:a.sock", "unix:", "localhost:9301", "127.0.0.1", "127.0.0.1:70000", ""):
        with pytest.raises(Malformed):
            place_of(text, mode=0o666, group=None)


def test_users_and_groups_are_names_or_numbers() -> None:
    assert (user_of("root"), user_of("0"), group_of("root"), group_of("7")) == (0, 0, 0, 7)
    for find in (user_of, group_of):
        with pytest.raises(Malformed):
            find("nobody of this name")
