"""The client: calls, events, a lease that renews itself, and a worker."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import secrets
import weakref
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, Mapping, Sequence

from ._generated import EVENTS, AcquireResult, ClaimedTask, Cluster, Distributed, Event, Overloaded, RedisUnavailable, StaleToken
from ._record import ClawsterError, ConnectionLost, NoNode, Record
from ._transport import Child, Connection, Http, Socket, Way

RECONNECT_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""The pauses before connecting again, in seconds; the last one repeats."""
CLAIM_WAIT_MS = 20_000
"""How long a worker's claim waits for a task before it is repeated."""


class LeaseHeld(Exception):
    """Another holder has the lease."""

    def __init__(self, name: str, holder: str | None) -> None:
        super().__init__(f"lease {name} is held by {holder or 'another holder'}")
        self.name, self.holder = name, holder


class LeaseLost(Exception):
    """The lease was lost; the work that it protected was cancelled."""


class PermanentFailure(Exception):
    """Raised by a worker's handler: the task fails for good, without another attempt."""


class Client:
    """A client of one node. Use it in `async with`, or call `close` at the end.

    It connects with the first call, and again after the connection broke.
    """

    def __init__(self, way: Way) -> None:
        self._way = way
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self.distributed = Distributed(self.call)
        """The methods `distributed.…`."""
        self.cluster = Cluster(self.call)
        """The methods `cluster.…`."""

    async def __aenter__(self) -> Client:
        await self._connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection. A node that runs as a child leaves the cluster and ends."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> Connection:
        async with self._opening:
            if self._connection is None:
                self._connection = await self._way.connect()
            return self._connection

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Calls any method. Raises a `ClawsterError`, `ConnectionLost` or `NoNode`."""
        connection = await self._connected()
        try:
            return await connection.call(method, params)
        except ConnectionLost:
            if self._connection is connection:
                self._connection = None
            raise

    async def _another(self) -> tuple[Connection, bool]:
        """A connection of its own, and whether it must be closed: a child has only the one."""
        if isinstance(self._way, Child):
            return await self._connected(), False
        return await self._way.connect(), True

    async def events(self, *names: str, after: str | None = None) -> AsyncIterator[Event]:
        """Yields the cluster's events as they come, across broken connections: `async for event in client.events()`.

        :param names: The events to yield, such as `cluster.leader_elected`; default: all but messages.
        :param after: The `id` of an event: continue behind it. `0-0`: from the oldest that is kept.
        """
        failures = 0
        while True:
            try:
                connection, own = await self._another()
                try:
                    async with contextlib.aclosing(connection.events(names or None, after)) as feed:  # type: ignore[type-var]
                        async for raw in feed:
                            failures = 0
                            after = raw.get("id") or after
                            kind: type[Record] = EVENTS.get(raw.get("event", ""), Record)
                            yield kind(raw)  # type: ignore[misc]
                finally:
                    if own:
                        await connection.close()
            except (ConnectionLost, NoNode, RedisUnavailable):
                if isinstance(self._way, Child):
                    raise
                await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
                failures += 1

    def lease(self, name: str, *, ttl: float = 30.0, wait: float = 0.0) -> Lease:
        """A lease for `async with`: renewed while the block runs, released at its end.

        When the lease is lost, the block is cancelled and `LeaseLost` is raised.

        :param name: The lease's name.
        :param ttl: How long the lease outlives this process, in seconds.
        :param wait: How long to wait for another holder, in seconds; then `LeaseHeld` is raised.
        """
        return Lease(self, name, ttl, wait)

    async def work(
        self,
        kinds: str | Sequence[str],
        handler: Callable[[ClaimedTask], Awaitable[Any] | Any],
        *,
        jobs: int = 1,
    ) -> None:
        """Claims tasks and calls `handler` for each, until it is cancelled.

        What the handler returns is the task's result. An exception fails the task, which is tried again, unless it is a
        `PermanentFailure`. A task is extended while its handler runs, and its handler is cancelled when the task was given to
        another worker. When `work` is cancelled, it claims no more, cancels the handlers and returns their tasks.

        :param kinds: The kind, or kinds, of tasks.
        :param handler: A coroutine function; a plain function is called in the event loop and must not block.
        :param jobs: How many tasks run at a time.
        """
        wanted = [kinds] if isinstance(kinds, str) else list(kinds)
        running: set[asyncio.Task[None]] = set()
        claims: Connection | None = None
        own, failures = False, 0
        try:
            while True:
                if len(running) >= jobs:
                    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running = {task for task in running if not task.done()}
                try:
                    if claims is None:
                        claims, own = await self._another()
                    params = {"kinds": wanted, "limit": jobs - len(running) or 1, "wait_ms": CLAIM_WAIT_MS}
                    answer = await claims.call("distributed.claim_tasks", params)
                    failures = 0
                except (ConnectionLost, NoNode, ClawsterError) as error:
                    if isinstance(error, ClawsterError) and not error.retryable:
                        raise
                    if not isinstance(error, ClawsterError):
                        claims = None
                    await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
                    failures += 1
                    continue
                running |= {asyncio.create_task(self._run(ClaimedTask(raw), handler)) for raw in answer["tasks"]}
        finally:
            # First the claim: a connection that closes makes the node stop to wait for tasks.
            if claims is not None and own:
                await claims.close()
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _run(self, task: ClaimedTask, handler: Callable[[ClaimedTask], Awaitable[Any] | Any]) -> None:
        async def handle() -> Any:
            result = handler(task)
            return await result if inspect.isawaitable(result) else result

        job = asyncio.create_task(handle())
        extending = asyncio.create_task(self._extend(task, job))
        try:
            result = await job
        except asyncio.CancelledError:
            job.cancel()
            if not extending.done():
                # The worker stops: another one takes the task at once.
                with contextlib.suppress(ClawsterError, ConnectionLost, NoNode):
                    await self.distributed.fail_task(task.task_id, task.token, "the worker was stopped", retry=True)
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is the task's failure
            retry = not isinstance(error, PermanentFailure)
            text = str(error) or type(error).__name__
            await self._settle(lambda: self.distributed.fail_task(task.task_id, task.token, text, retry=retry))
        else:
            await self._settle(lambda: self.distributed.complete_task(task.task_id, task.token, result=result))
        finally:
            extending.cancel()

    async def _extend(self, task: ClaimedTask, job: asyncio.Task[Any]) -> None:
        """Extends a task at a third of its time; cancels its handler once another worker may have it."""
        loop = asyncio.get_running_loop()
        pause, deadline = 0.5, loop.time() + 60
        while True:
            await asyncio.sleep(pause)
            sent = loop.time()
            try:
                extended = await self.distributed.extend_task(task.task_id, task.token)
                state_left = (extended.expires_at_ms or 0) - (await self._now_ms())
                deadline = sent + state_left / 1000
                pause = max(0.2, state_left / 3000)
            except StaleToken:
                job.cancel()
                return
            except (ClawsterError, ConnectionLost, NoNode):
                if loop.time() > deadline:
                    job.cancel()
                    return
                pause = 1.0

    async def _now_ms(self) -> int:
        """The Redis server's time, by this node's view."""
        state = await self.distributed.get_cluster_state()
        return int(state.as_of_ms) + int(state.age_ms or 0)

    async def _settle(self, report: Callable[[], Awaitable[Any]]) -> None:
        for delay in (*RECONNECT_DELAYS, None):
            try:
                await report()
                return
            except StaleToken:
                return
            except (RedisUnavailable, Overloaded, ConnectionLost, NoNode):
                # A task whose outcome cannot be reported goes to another worker when its time is over.
                if delay is None:
                    return
                await asyncio.sleep(delay)


class Lease:
    """See `Client.lease`."""

    token: int
    """The fencing token: it rises with every grant. Write it beside what you write elsewhere, and refuse lower ones."""

    def __init__(self, client: Client, name: str, ttl: float, wait: float) -> None:
        self._client, self.name, self._ttl, self._wait = client, name, ttl, wait
        self._lost = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        """Whether the lease was lost."""
        return self._lost

    async def __aenter__(self) -> Lease:
        loop = asyncio.get_running_loop()
        # The same id for all attempts: an answer that was lost does not lose the grant.
        request_id = secrets.token_hex(16)
        sent = loop.time()
        granted: AcquireResult = await self._client.distributed.acquire_lease(
            self.name, round(self._ttl * 1000), wait_ms=round(self._wait * 1000), request_id=request_id
        )
        if not granted.acquired:
            raise LeaseHeld(self.name, granted.holder)
        self.token = granted.token  # type: ignore[assignment]
        if self._wait:
            # A grant that was waited for began some time before its answer: from this renewal on it is known how long it lasts.
            sent = loop.time()
            try:
                await self._client.distributed.renew_lease(self.name, self.token, ttl_ms=round(self._ttl * 1000))
            except StaleToken as error:
                raise LeaseLost(f"lease {self.name} was lost") from error
        work = asyncio.current_task()
        assert work is not None
        self._renewing = asyncio.create_task(self._renew(work, sent + self._ttl))
        return self

    async def _renew(self, work: asyncio.Task[Any], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        pause = self._ttl / 3
        while True:
            await asyncio.sleep(max(0.0, min(pause, deadline - loop.time())))
            sent = loop.time()
            try:
                if sent >= deadline:
                    raise LeaseLost
                async with asyncio.timeout_at(deadline):
                    await self._client.distributed.renew_lease(self.name, self.token, ttl_ms=round(self._ttl * 1000))
                deadline, pause = sent + self._ttl, self._ttl / 3
            except (LeaseLost, StaleToken, TimeoutError):
                self._lost = True
                work.cancel()
                return
            except (ClawsterError, ConnectionLost, NoNode):
                pause = min(1.0, self._ttl / 10)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._renewing is not None
        self._renewing.cancel()
        if self._lost:
            work = asyncio.current_task()
            if work is not None and work.uncancel() > 0:
                # Somebody else cancels it, too.
                return
            if kind is None:
                # The block ended before the cancellation arrived.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)
            raise LeaseLost(f"lease {self.name} was lost") from None
        with contextlib.suppress(ClawsterError, ConnectionLost, NoNode):
            await self._client.distributed.release_lease(self.name, self.token)


def connect(
    node: str | None = None,
    *,
    socket: str | Path | None = None,
    cluster: str | None = None,
    state_dir: str | Path | None = None,
    command: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    url: str | None = None,
    token: str | None = None,
) -> Client:
    """A client of a node. Without arguments: of the one that runs on this host.

    :param node: The node to use if several run on this host.
    :param socket: The path of its socket, instead of looking for it.
    :param cluster: The cluster's name; default: `CLAWSTER__CLUSTER__NAME`, else `openclaw`.
    :param state_dir: The state directory; default: as for `clawster` itself.
    :param command: Run a node as a child process instead, such as `["clawster", "serve"]`; it leaves at the end.
    :param env: The child's environment.
    :param url: The node's HTTP address instead, such as `http://127.0.0.1:9900`.
    :param token: The token for that address; default: `CLAWSTER_HTTP_TOKEN`.
    """
    if url is not None:
        return Client(Http(url, token or os.environ.get("CLAWSTER_HTTP_TOKEN")))
    if command is not None:
        return Client(Child(command, env))
    as_path = lambda text: None if text is None else Path(text)  # noqa: E731
    return Client(Socket(as_path(socket), node, cluster, as_path(state_dir)))


class _Default:
    """The clients of the node on this host, one for each event loop."""

    def __init__(self) -> None:
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = weakref.WeakKeyDictionary()

    def client(self) -> Client:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = connect()
        return self._clients[loop]

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        return await self.client().call(method, params)


_default = _Default()
distributed = Distributed(_default.call)
"""The methods `distributed.…` of the node that runs on this host."""
cluster = Cluster(_default.call)
"""The methods `cluster.…` of the node that runs on this host."""
