"""The client against real nodes. CLAWSTER_PROGRAM and CLAWSTER_REDIS_SERVER name the programs."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import clawster  # noqa: E402
from clawster import connect  # noqa: E402

PROGRAM = os.environ.get("CLAWSTER_PROGRAM") or shutil.which("clawster") or ""
REDIS = os.environ.get("CLAWSTER_REDIS_SERVER") or "redis-server"
PATIENCE = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A Redis and nodes, each with a state directory of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.processes = {}
        self.clients = []

    async def start(self):
        redis = [REDIS, "--port", str(self.port), "--save", "", "--bind", "127.0.0.1", "--dir", self.folder.name]
        self.processes["redis"] = subprocess.Popen(redis, stdout=subprocess.DEVNULL)

        async def answers():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return True
            except OSError:
                return False

        await eventually(answers)

    def env(self, node):
        return {
            "PATH": os.environ["PATH"],
            "HOME": self.folder.name,
            "CLAWSTER_STATE_DIR": f"{self.folder.name}/{node}",
            "CLAWSTER_CONFIG_DIR": self.folder.name,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.port),
            "OPENCLAW_NODE_ID": node,
            "CLAWSTER__NODE__HEARTBEAT_INTERVAL": "0.5",
            "CLAWSTER__NODE__HEARTBEAT_TTL": "2",
            "CLAWSTER__LEADER__LEASE_TTL": "3",
            "CLAWSTER__LOGGING__LEVEL": "warn",
        }

    async def node(self, name):
        command = [PROGRAM, "serve", "--stay"]
        self.processes[name] = subprocess.Popen(command, env=self.env(name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        client = self.client(name)

        async def member():
            try:
                return (await client.distributed.get_cluster_state()).role in ("leader", "follower")
            except (clawster.NoNode, clawster.ConnectionLost):
                return False

        await eventually(member)
        return client

    def client(self, name):
        self.clients.append(connect(name, state_dir=f"{self.folder.name}/{name}"))
        return self.clients[-1]

    def stop(self, name):
        process = self.processes.pop(name)
        process.terminate()
        process.wait(PATIENCE)

    def close(self):
        for name in list(self.processes)[::-1]:
            self.stop(name)
        self.folder.cleanup()


async def eventually(holds):
    async with asyncio.timeout(PATIENCE):
        while not (result := await holds()):
            await asyncio.sleep(0.05)
    return result


async def first(feed, count):
    async with contextlib.aclosing(feed):
        async for item in feed:
            yield item
            count -= 1
            if not count:
                return


class Test(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        await self.cluster.start()

    async def asyncTearDown(self):
        for client in self.cluster.clients:
            await client.close()

    async def test_the_example_runs_as_it_is_written(self):
        receiver = await self.cluster.node("b")
        await self.cluster.node("a")
        os.environ.update(CLAWSTER_STATE_DIR=f"{self.cluster.folder.name}/a")
        self.addCleanup(os.environ.pop, "CLAWSTER_STATE_DIR")
        from clawster import distributed

        msg = {"id": "one", "topic": "deploy", "payload": {"version": "1.4.0"}}
        await distributed.sync_messages([msg])
        state = await distributed.get_cluster_state()
        self.assertIn(state.leader_id == state.node_id, (True, False))
        self.assertEqual(sorted(node.node_id for node in state.nodes), ["a", "b"])
        self.assertEqual(state.redis.status, "ok")
        got = await receiver.distributed.sync_messages(wait_ms=5000)
        self.assertEqual([(one.id, one.from_, one.payload) for one in got.received], [("one", "a", {"version": "1.4.0"})])
        self.assertIsNone(got.gap)
        await clawster._client._default.client().close()

    async def test_errors_are_of_their_kind(self):
        client = await self.cluster.node("a")
        with self.assertRaises(clawster.UnknownNode) as raised:
            await client.distributed.elect_leader("nobody", force=True)
        self.assertEqual((raised.exception.kind, raised.exception.retryable), ("unknown_node", False))
        with self.assertRaises(clawster.InvalidParams):
            await client.call("distributed.run_once", {"key": 1})
        with self.assertRaises(clawster.NoNode):
            await self.cluster.client("elsewhere").distributed.get_cluster_state()
        self.cluster.stop("a")
        with self.assertRaises((clawster.ConnectionLost, clawster.NoNode)):
            await client.distributed.get_cluster_state()
        await self.cluster.node("a")
        self.assertEqual((await client.distributed.get_cluster_state()).node_id, "a", "it connects again")

    async def test_events_go_on_after_a_restart_of_the_node(self):
        client = await self.cluster.node("a")
        seen = []

        async def watch():
            async for event in client.events("cluster.node_joined", after="0-0"):
                seen.append((event.node_id, event.rejoined))

        watching = asyncio.create_task(watch())

        async def count(number):
            return len(seen) >= number

        await eventually(lambda: count(1))
        self.cluster.stop("a")
        await self.cluster.node("a")
        await self.cluster.node("b")
        await eventually(lambda: count(3))
        watching.cancel()
        self.assertEqual(seen, [("a", False), ("a", True), ("b", False)], "each once, in order")

    async def test_a_lease_is_renewed_and_its_loss_stops_the_work(self):
        first = await self.cluster.node("a")
        second = await self.cluster.node("b")
        async with first.lease("job", ttl=1.5) as lease:
            with self.assertRaises(clawster.LeaseHeld) as raised:
                async with second.lease("job"):
                    self.fail("two holders")
            self.assertEqual(raised.exception.holder, "a")
            await asyncio.sleep(2.5)
            self.assertTrue((await first.distributed.check_lease("job", lease.token)).valid, "it was renewed")
        async with second.lease("job", ttl=10, wait=10) as later:
            self.assertGreater(later.token, lease.token)
        reached = False
        with self.assertRaises(clawster.LeaseLost):
            async with first.lease("job", ttl=1.5) as lost:
                await first.distributed.release_lease("job", lost.token)
                await asyncio.sleep(PATIENCE)
                reached = True
        self.assertFalse(reached)
        self.assertEqual(asyncio.current_task().cancelling(), 0)

    async def test_a_worker_completes_fails_and_returns_tasks(self):
        client = await self.cluster.node("a")
        done, stuck = [], asyncio.Event()

        async def handle(task):
            if task.payload == "bad":
                raise clawster.PermanentFailure("no such address")
            if task.payload == "long":
                stuck.set()
                await asyncio.sleep(PATIENCE)
            done.append(task.payload)
            return {"sent": task.payload}

        working = asyncio.create_task(client.work("mail", handle, jobs=2))
        for payload in ("one", "bad", "two"):
            await client.distributed.submit_task("mail", payload, id=payload)

        async def ended():
            states = [(await client.distributed.get_task(task)).state for task in ("one", "bad", "two")]
            return states if set(states) <= {"done", "failed"} else None

        self.assertEqual(await eventually(ended), ["done", "failed", "done"])
        one = await client.distributed.get_task("one")
        self.assertEqual((one.result, sorted(done)), ({"sent": "one"}, ["one", "two"]))
        await client.distributed.submit_task("mail", "long", id="long", timeout_ms=2000)
        async with asyncio.timeout(PATIENCE):
            await stuck.wait()
        await asyncio.sleep(3)
        self.assertEqual((await client.distributed.get_task("long")).state, "running", "it was extended")
        working.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await working
        self.assertIn((await client.distributed.get_task("long")).state, ("waiting", "delayed"), "it was returned")

    async def test_the_example_of_a_worker_completes_a_task_and_stops(self):
        client = await self.cluster.node("a")
        env = {**self.cluster.env("a"), "PYTHONPATH": str(HERE.parent / "src")}
        example = HERE.parents[2] / "examples/worker-python/worker.py"
        self.cluster.processes["worker"] = worker = subprocess.Popen([sys.executable, example], env=env)
        await client.distributed.submit_task("greet", {"name": "Ada"}, id="hello")

        async def done():
            task = await client.distributed.get_task("hello")
            return task.result if task.state == "done" else None

        self.assertEqual(await eventually(done), {"greeting": "Hello, Ada!", "attempt": 1})
        self.cluster.stop("worker")
        self.assertEqual(worker.returncode, 0)

    async def test_a_child_is_a_node_and_leaves_at_the_end(self):
        witness = await self.cluster.node("a")
        async with connect(command=[PROGRAM, "serve"], env=self.cluster.env("child")) as client:

            async def member():
                return (await client.distributed.get_cluster_state()).role != "observer"

            await eventually(member)

            async def first():
                async for event in client.events("cluster.node_joined", after="0-0"):
                    return event.node_id

            self.assertEqual(await first(), "a")
        state = await witness.distributed.get_cluster_state(fresh=True)
        self.assertEqual({node.node_id: node.status for node in state.nodes}["child"], "left")

    async def test_http_does_the_same(self):
        port = free_port()
        os.environ["CLAWSTER_HTTP_TOKEN"] = "a-token-of-more-than-24-characters"
        self.addCleanup(os.environ.pop, "CLAWSTER_HTTP_TOKEN")
        Path(self.cluster.folder.name, "secrets.json").write_text('{"http": {"token": "a-token-of-more-than-24-characters"}}')
        Path(self.cluster.folder.name, "secrets.json").chmod(0o600)
        env = self.cluster.env
        self.cluster.env = lambda node: env(node) | {"CLAWSTER__HTTP__LISTEN": f"127.0.0.1:{port}"}
        await self.cluster.node("a")
        self.cluster.env = env
        async with connect(url=f"http://127.0.0.1:{port}") as client:
            self.assertEqual((await client.distributed.get_cluster_state()).node_id, "a")
            self.assertTrue((await client.distributed.run_once(60_000, key="k")).granted)
            with self.assertRaises(clawster.InvalidParams):
                await client.call("distributed.run_once", {"key": 1})

            async def names():
                return [event.node_id async for event in first(client.events("cluster.node_joined", after="0-0"), 2)]

            joined = asyncio.create_task(names())
            await self.cluster.node("b")
            self.assertEqual(await joined, ["a", "b"])

    async def test_the_generated_part_is_what_the_document_says(self):
        generate = HERE.parents[1] / "generate"
        subprocess.run([sys.executable, str(generate), "--check"], check=True)


if __name__ == "__main__":
    unittest.main()
