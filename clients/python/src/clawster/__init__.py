"""A client for clawster: membership, one leader, messages, leases and tasks for a cluster of OpenClaw gateways.

    from clawster import distributed

    state = await distributed.get_cluster_state()
    if state.leader_id == state.node_id:
        await distributed.sync_messages([{"topic": "deploy", "payload": {"version": "1.4.0"}}])

`connect()` gives a client with events, leases and a worker:

    async with connect() as client:
        async for event in client.events("cluster.leader_elected"):
            print(event.leader_id)
"""

from ._client import Client, Lease, LeaseHeld, LeaseLost, PermanentFailure, cluster, connect, distributed
from ._generated import *  # noqa: F403
from ._record import ClawsterError, ConnectionLost, NoNode, Record

__all__ = [
    "Client",
    "ClawsterError",
    "ConnectionLost",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "NoNode",
    "PermanentFailure",
    "Record",
    "cluster",
    "connect",
    "distributed",
]
