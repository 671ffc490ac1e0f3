"""The ways to a node: its unix socket, a child process of one's own, or HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, AsyncIterator, Mapping, Protocol, Sequence

from ._generated import ERRORS
from ._record import ClawsterError, ConnectionLost, NoNode

LINE_BYTES = 64 << 20
"""The longest line that is read; a node sends at most a few MiB."""


class Connection(Protocol):
    """A connection to a node."""

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Calls a method and returns its result."""

    def events(self, names: Sequence[str] | None, after: str | None) -> AsyncIterator[dict[str, Any]]:
        """Subscribes to events; ends with `ConnectionLost`."""

    async def close(self) -> None:
        """Closes the connection; calls that wait fail."""


class Way(Protocol):
    """How to connect to a node."""

    async def connect(self) -> Connection:
        """Opens a connection."""


def error_of(error: Mapping[str, Any]) -> ClawsterError:
    code = int(error.get("code", 0))
    return ERRORS.get(code, ClawsterError)(str(error.get("message", "")), code, error.get("data"))


class Lines:
    """JSON-RPC over a pair of streams, one JSON text per line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: asyncio.subprocess.Process | None = None) -> None:
        self._reader, self._writer, self._process = reader, writer, process
        self._next = 0
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._feeds: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        # Events may arrive before the answer that names their subscription.
        self._early: dict[int, list[dict[str, Any]]] = {}
        self._subscribing = 0
        self._lost = False
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                for one in message if isinstance(message, list) else [message]:
                    self._take(one)
        except (OSError, ValueError):
            pass
        finally:
            self._fail()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            params = message.get("params") or {}
            feed = self._feeds.get(params.get("subscription", -1))
            if feed is not None:
                feed.put_nowait(params["result"])
            elif self._subscribing:
                self._early.setdefault(params.get("subscription", -1), []).append(params["result"])
            return
        future = self._pending.pop(message.get("id", -1), None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(error_of(message["error"]))
        else:
            future.set_result(message.get("result"))

    def _fail(self) -> None:
        self._lost = True
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ConnectionLost("the connection to the node broke; the call may have taken effect"))
        self._pending.clear()
        for feed in self._feeds.values():
            feed.put_nowait(None)

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        if self._lost:
            raise ConnectionLost("the connection to the node is closed")
        self._next += 1
        number = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            self._writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            await self._writer.drain()
            return await future
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        finally:
            self._pending.pop(number, None)

    async def events(self, names: Sequence[str] | None, after: str | None) -> AsyncIterator[dict[str, Any]]:
        params: dict[str, Any] = {}
        if names is not None:
            params["events"] = list(names)
        if after is not None:
            params["after"] = after
        self._subscribing += 1
        try:
            subscription = await self.call("cluster.subscribe", params)
            feed = self._feeds[subscription] = asyncio.Queue()
            for event in self._early.pop(subscription, []):
                feed.put_nowait(event)
        finally:
            self._subscribing -= 1
            if not self._subscribing:
                self._early.clear()
        try:
            while (event := await feed.get()) is not None:
                yield event
            raise ConnectionLost("the connection to the node broke")
        finally:
            self._feeds.pop(subscription, None)
            if not self._lost:
                with contextlib.suppress(ClawsterError, ConnectionLost):
                    await asyncio.shield(self.call("cluster.unsubscribe", {"subscription": subscription}))

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        if self._process is not None:
            # The end of its input makes the node leave the cluster, within 5 s.
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._task.cancel()
        self._fail()


class Socket:
    """The unix socket of a running node."""

    def __init__(self, path: Path | None = None, node: str | None = None, cluster: str | None = None, state_dir: Path | None = None) -> None:
        self._path = path
        self._node = node or os.environ.get("OPENCLAW_NODE_ID") or None
        self._named = node is not None
        self._cluster = cluster or os.environ.get("CLAWSTER__CLUSTER__NAME") or "openclaw"
        self._state_dir = state_dir or _state_dir()

    async def connect(self) -> Lines:
        if self._path is not None:
            return await self._open(self._path)
        folder = self._state_dir / self._cluster
        found: list[tuple[Path, Lines]] = []
        for path in sorted(folder.glob("*.sock")):
            # A killed node leaves its socket behind.
            with contextlib.suppress(NoNode):
                found.append((path, await self._open(path)))
        chosen = await self._choose(found)
        for _, connection in found:
            if connection is not chosen:
                await connection.close()
        if chosen is not None:
            return chosen
        if len(found) > 1 and not self._named:
            names = ", ".join(path.stem for path, _ in found)
            raise NoNode(f"several nodes run on this host ({names}); choose one with node=")
        what = f"node {self._node}" if self._named else "node"
        raise NoNode(f"no clawster {what} of cluster {self._cluster} runs on this host ({folder}); start one with `clawster serve`")

    async def _choose(self, found: list[tuple[Path, Lines]]) -> Lines | None:
        if self._node is not None:
            for path, connection in found:
                if path.stem == self._node:
                    return connection
            for _, connection in found:
                # A long path is shortened to a hash: only the node knows its id.
                with contextlib.suppress(ClawsterError, ConnectionLost):
                    state = await connection.call("distributed.get_cluster_state", {})
                    if state.get("node_id") == self._node:
                        return connection
            if self._named:
                return None
        return found[0][1] if len(found) == 1 else None

    @staticmethod
    async def _open(path: Path) -> Lines:
        try:
            return Lines(*await asyncio.open_unix_connection(str(path), limit=LINE_BYTES))
        except OSError as error:
            raise NoNode(f"cannot connect to {path}: {error}") from error


class Child:
    """A node that runs as a child process, and ends with the connection."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command, self._env = list(command), env

    async def connect(self) -> Lines:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._env, limit=LINE_BYTES
            )
        except OSError as error:
            raise NoNode(f"cannot start {self._command[0]}: {error}") from error
        assert process.stdin is not None and process.stdout is not None
        return Lines(process.stdout, process.stdin, process)


class Http:
    """A node's HTTP address, `http.listen` in its configuration."""

    def __init__(self, url: str, token: str | None = None, context: ssl.SSLContext | None = None) -> None:
        self._url, self._token, self._context = url.rstrip("/"), token, context
        self._next = 0

    async def connect(self) -> Http:
        return self

    def _request(self, path: str, body: bytes | None) -> urllib.request.Request:
        request = urllib.request.Request(self._url + path, data=body)
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        return request

    def _open(self, path: str, body: bytes | None) -> Any:
        try:
            return urllib.request.urlopen(self._request(path, body), context=self._context)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace").strip()
            raise ConnectionLost(f"{self._url}{path}: HTTP {error.code} {text[:200]}") from error
        except OSError as error:
            raise ConnectionLost(f"{self._url}: {error}") from error

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        self._next += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}).encode()

        def post() -> Any:
            with self._open("/rpc", body) as answer:
                return json.loads(answer.read())

        message = await asyncio.to_thread(post)
        if "error" in message:
            raise error_of(message["error"])
        return message.get("result")

    async def events(self, names: Sequence[str] | None, after: str | None) -> AsyncIterator[dict[str, Any]]:
        wanted = {"after": after, "events": ",".join(names) if names else None}
        query = urllib.parse.urlencode({key: value for key, value in wanted.items() if value})
        answer = await asyncio.to_thread(self._open, "/events" + (f"?{query}" if query else ""), None)
        try:
            data: list[str] = []
            while line := await asyncio.to_thread(answer.readline):
                text = line.decode().rstrip("\r\n")
                if text.startswith("data:"):
                    data.append(text[5:].removeprefix(" "))
                elif not text and data:
                    event, data = json.loads("\n".join(data)), []
                    yield event
            raise ConnectionLost("the stream of events ended")
        finally:
            answer.close()

    async def close(self) -> None:
        pass


def _state_dir() -> Path:
    if chosen := os.environ.get("CLAWSTER_STATE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local/state") / "clawster"
