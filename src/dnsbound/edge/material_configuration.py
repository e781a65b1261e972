"""`[materialise.LABEL]` of authz.toml, beside its fronts:

    [materialise.mosquitto]
    door = "report.gov.example"
    form = "hashed-directory"               # a word of `edge.material_forms.FORMS`
    path = "/etc/mosquitto/clients"         # the directory, or the file; the materialiser's alone
    enrolled = "/var/lib/dnsbound/enrolled" # certificates by name, where the DNS has digests
    hook = ["systemctl", "reload", "mosquitto"]
    seconds = 300                           # a name is asked about again at the latest after so long
    grace = 0                               # seconds a file outlives its evidence while the DNS cannot be asked

Every key is described in docs/howto/materialiser.md.
"""

from dnsbound.door_limits import MATERIAL_GRACE_SECONDS, MATERIAL_NAMES, MATERIAL_SECONDS
from dnsbound.edge.material_forms import FORMS
from dnsbound.edge.materialiser import MaterialSettings
from dnsbound.edge.toml_tables import TomlTable


def read_materials(table: TomlTable) -> tuple[MaterialSettings, ...]:
    """All of `[materialise]`. Malformed."""
    found: list[MaterialSettings] = []
    for one in table.each():
        found.append(_material(one))
        if any(found[-1].path == other.path for other in found[:-1]):
            raise one.wrong("another materialiser writes there, and each would take the other's files away", "path")
    return tuple(found)


def _material(table: TomlTable) -> MaterialSettings:
    form = table.text("form")
    if form not in FORMS:
        raise table.wrong(f"is {' or '.join(FORMS)}, not {form!r}", "form")
    settings = MaterialSettings(
        label=table.name,
        door=table.text("door"),
        form=form,
        path=table.path("path"),
        enrolled=table.path("enrolled") if "enrolled" in table else None,
        hook=table.texts("hook"),
        seconds=table.number("seconds", MATERIAL_SECONDS),
        grace=table.number("grace", MATERIAL_GRACE_SECONDS),
        names=table.number("names", MATERIAL_NAMES),
    )
    if settings.hook and not settings.hook[0]:
        raise table.wrong("begins with the program to run", "hook")
    table.done()
    return settings
