"""Column types as the migrations build them: what fits a STRICT table of SQLite, and its like in PostgreSQL.

Frozen like the migrations themselves: `dnsbound.provision.schema` may go on, these do not.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

MOMENT: sa.types.TypeEngine[float] = sa.REAL().with_variant(postgresql.DOUBLE_PRECISION(), "postgresql")
NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
OCTETS = sa.LargeBinary()
