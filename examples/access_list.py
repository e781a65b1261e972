"""The access list in a file: read again when it changes, and never replaced by one with an error."""

import stage

import dnsbound


def may_come_in(access: dnsbound.AccessFile, name: str) -> bool:
    try:
        access.current().permit("api", dnsbound.ClientName.parse(name))
    except dnsbound.Refused:
        return False
    return True


if __name__ == "__main__":
    with stage.stage() as at:
        path = at.files / "access.toml"
        access = dnsbound.AccessFile(path)
        print([may_come_in(access, f"{car}._device.cars.example") for car in ("car54", "car55")])  # [True, False]

        new = path.with_suffix(".new")
        new.write_text('[door.api]\nallow = ["car55._device.cars.example"]\n')
        new.replace(path)  # whole, by a rename
        access.reload()  # at once; without it, within a second
        print([may_come_in(access, f"{car}._device.cars.example") for car in ("car54", "car55")])  # [False, True]

        path.write_text('[door.api]\nallow = ["no name"]\n')
        try:
            access.reload()
        except dnsbound.Malformed as error:
            print(f"stays as it was: {error}")
