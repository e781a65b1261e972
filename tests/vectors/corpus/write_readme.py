"""Write the table of situations into README.md beside this file."""

from pathlib import Path

from dnsbound.testing.zone_corpus import markdown
from dnsbound.testing.zone_situations import read_situations

HEAD = """# Situations

DNSSEC situations on which our validator, Unbound and this table must agree. Each is a small tree of zones below
`<situation>.corpus.`, a question, and the judgement it calls for; the words are explained in
`src/dnsbound/testing/zone_situations.py`. `tests/vectors/test_corpus.py` puts them to our validator alone,
`tests/interop/unbound_corpus` to Unbound and to our validator behind Unbound. Where Unbound judges otherwise, the
reason stands beside it.

This table is written by `python tests/vectors/corpus/write_readme.py`.

"""

if __name__ == "__main__":
    directory = Path(__file__).parent
    (directory / "README.md").write_text(HEAD + markdown(read_situations(directory)))
