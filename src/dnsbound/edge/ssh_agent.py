"""An SSH agent at a Unix socket, which lets ssh use a credential's key and nothing be signed but what is SSH's.

Whoever may connect may log in as the key's holder: the socket's file is for its owner alone, and the kernel is asked
who connects. The key is used by one connection at a time, away from the event loop: a token may ask a person.
What this is not: the protocol (`protocols.ssh_agent`).
"""

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Final, Self

from dnsbound.door_limits import SSH_AGENT_CONNECTIONS
from dnsbound.edge.authz_sockets import PeerUsers, UnixPlace, bind_front
from dnsbound.errors import DnsboundError
from dnsbound.protocols.ssh_agent import AgentConversation, AgentIdentity

_OWNER_ALONE: Final = 0o600
_READ: Final = 65_536


class SshAgent:
    """An asynchronous context manager: it answers while the block lasts, and takes its socket away."""

    def __init__(self, identity: AgentIdentity, path: Path) -> None:
        """Misuse where the socket cannot be made."""
        self.path: Final = path
        self._identity = identity
        self._users = PeerUsers(users=frozenset({os.geteuid()}))
        self._bound: socket.socket = bind_front(UnixPlace(path=path.absolute(), mode=_OWNER_ALONE))
        self._key = asyncio.Lock()
        self._conversations: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._connected, sock=self._bound)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            if len(self._conversations) <= SSH_AGENT_CONNECTIONS.default and self._is_owner(connection):
                await self._converse(reader, writer)
        except (OSError, DnsboundError, asyncio.CancelledError):
            pass  # A failure of one connection is its end; nothing of it is anybody else's.
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _is_owner(self, connection: socket.socket) -> bool:
        # asyncio shows a view of the socket that cannot be asked all; the descriptor is the same.
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            return self._users.admit(same)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = AgentConversation(self._identity)
        while octets := await reader.read(_READ):
            async with self._key:
                await asyncio.to_thread(conversation.receive_data, octets)
            writer.write(conversation.data_to_send())
            await writer.drain()
