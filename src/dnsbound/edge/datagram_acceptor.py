"""From a door's Context to its associations: the cookie exchange with the settings as they are now."""

from typing import TYPE_CHECKING, Any

from dnsbound._native import Connection, CookieListener
from dnsbound.errors import Misuse
from dnsbound.tls.association import Association
from dnsbound.tls.datagram_transport import DatagramTransport

if TYPE_CHECKING:
    from dnsbound._native import Config
    from dnsbound.edge.context import Context


class DatagramAcceptor:
    """Answers addresses nothing is known of, without keeping anything. context: a door's, for datagrams."""

    __slots__ = ("_config", "_context", "_listener")

    def __init__(self, context: "Context") -> None:
        if not (context.is_door and context.datagram):
            raise Misuse("a datagram server needs a Context made with Context.server(..., datagram=True)")
        self._context = context
        self._config: Config | None = None
        self._listener: CookieListener | None = None

    def receive(
        self,
        datagram: bytes,
        *,
        address: Any,  # noqa: ANN401 (a socket address)
        keys: tuple[bytes, ...],
        source: str,
        queue: int,
    ) -> bytes | Association | None:
        """A HelloVerifyRequest to send, an association that has read a verified hello, or nothing.

        source: who the client is to budgets and logs. queue: messages an association keeps for its reader.
        """
        answer = self._current().receive(datagram, address=repr(address).encode(), keys=keys)
        if not isinstance(answer, Connection):
            return answer
        transport = DatagramTransport()
        shim = self._context.server_shim(transport, connection=answer, source=source)
        return Association(shim, transport, queue=queue)

    def _current(self) -> CookieListener:
        config = self._context.engine_config()
        if self._listener is None or config is not self._config:
            self._config, self._listener = config, CookieListener(config)
        return self._listener
