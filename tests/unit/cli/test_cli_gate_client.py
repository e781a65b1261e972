"""`dnsbound gate client --check`: what is missing before a program can speak as a name."""

import json


def checked(dnsbound, *options):
    ran = dnsbound("gate", "client", *options, "--check", "--json")
    return ran.code, {(one["check"], one["level"]): one["found"] for one in json.loads(ran.out)["checks"]}


def credential(world, directory):
    path = directory / "car54.pem"
    path.write_bytes(world.organisation("cars.example").device("car54").credential.to_pem())
    path.chmod(0o600)
    return path


def test_gw_46_check_names_what_is_missing(dnsbound, in_world, tmp_path):
    own = credential(in_world, tmp_path)
    target = ("--target", "127.0.0.1:9", "--override-server-name", "nobody.cars.example")
    code, found = checked(dnsbound, "--listen", f"unix:{tmp_path}/s", *target, "--credential", own)
    assert code == 1
    (why,) = [text for (check, level), text in found.items() if level == "fail" and "nobody.cars.example" in check]
    assert "no-tlsa" in why


def test_gw_46_check_tells_of_an_open_listener(dnsbound, in_world, tmp_path):
    own = credential(in_world, tmp_path)
    rest = ("--target", "nobody.cars.example:9", "--credential", own)
    _, found = checked(dnsbound, "--listen", "127.0.0.1:0", *rest)
    assert found["client gate at 127.0.0.1:0", "warn"].startswith("every user of this machine")
    _, found = checked(dnsbound, "--listen", "127.0.0.1:0", "--user", "root", *rest)
    assert not [level for _, level in found if level == "warn"]


def test_a_credential_that_is_not_there_is_one_line(dnsbound, in_world, tmp_path):
    code, found = checked(
        dnsbound, "--listen", f"unix:{tmp_path}/s", "--target", "a.cars.example:9", "--credential", tmp_path / "none"
    )
    assert code == 1
    assert any(level == "fail" and "none" in text for (_, level), text in found.items())
