"""Which attributes an access server will know a session by."""

from dnsbound.edge.radius_admission import IDENTIFYING, identifying

USER_NAME, NAS_IP, STATE, CALLING, CUI, EAP = 1, 4, 24, 31, 89, 79


def test_what_the_accept_says_replaces_what_the_request_said():
    request = [(USER_NAME, b"@cars.example"), (STATE, b"s"), (NAS_IP, bytes((192, 0, 2, 1))), (CALLING, b"02-00")]
    accept = [(EAP, b"x"), (USER_NAME, b"car54._device.cars.example"), (CUI, b"opaque")]
    assert identifying(request, accept) == (
        (USER_NAME, b"car54._device.cars.example"),
        (NAS_IP, bytes((192, 0, 2, 1))),
        (CALLING, b"02-00"),
        (CUI, b"opaque"),
    )


def test_a_chargeable_user_identity_that_only_asks_for_one_is_none():
    """RFC 4372 section 2.1: one NUL octet in a request says that the access server would like to be told."""
    assert identifying([(CUI, b"\0")], []) == ()


def test_nothing_else_is_kept():
    everything = [(number, b"x") for number in range(1, 256)]
    assert {number for number, _ in identifying(everything, [])} == set(IDENTIFYING)
