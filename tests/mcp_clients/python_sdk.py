"""`clawster mcp` with the official SDK for Python (1.x or 2.x) and, where they are installed, the clients of fastmcp and mcp-use.

CLAWSTER_PROGRAM names the program; the other variables of this process go to it.
"""

import asyncio
import importlib.metadata
import os
import sys

import mcp
from mcp import StdioServerParameters

PROGRAM = os.environ["CLAWSTER_PROGRAM"]
SERVER = StdioServerParameters(command=PROGRAM, args=["mcp"], env=dict(os.environ))
TOOLS = ["sync_messages", "get_cluster_state", "elect_leader", "join_cluster", "leave_cluster"]


async def leads(call):
    async with asyncio.timeout(30):
        while (await call("distributed_get_cluster_state", {}))["role"] != "leader":
            await asyncio.sleep(0.1)


async def use(list_tools, call, read):
    """What every client must be able to do. `call` returns structured content, which the SDKs check against the schema."""
    names = await list_tools()
    assert all(f"distributed_{name}" in names for name in TOOLS), names
    await leads(call)
    sent = await call("distributed_sync_messages", {"messages": [{"id": "m", "payload": {"n": 1}}], "limit": 0})
    assert sent["published"] + sent["duplicates"] == 1, sent
    assert "leader" in await read("cluster://state")


def version_1():
    from mcp import ClientSession
    from mcp.client.stdio import stdio_client

    async def main():
        async with stdio_client(SERVER) as (read, write), ClientSession(read, write) as session:
            about = await session.initialize()
            assert about.serverInfo.name == "clawster"

            async def call(name, arguments):
                result = await session.call_tool(name, arguments)
                assert not result.isError, result
                return result.structuredContent

            async def list_tools():
                return [tool.name for tool in (await session.list_tools()).tools]

            async def read_resource(uri):
                return (await session.read_resource(uri)).contents[0].text

            await use(list_tools, call, read_resource)
            refused = await session.call_tool("distributed_elect_leader", {"candidate": "nobody", "force": True})
            assert refused.isError and "-32004" in refused.content[0].text, refused
            return about.protocolVersion

    return main


def version_2(mode):
    from mcp import Client

    async def main():
        async with Client(SERVER, mode=mode) as client:

            async def call(name, arguments):
                result = await client.call_tool(name, arguments)
                assert not result.is_error, result
                return result.structured_content

            async def list_tools():
                return [tool.name for tool in (await client.list_tools()).tools]

            async def read_resource(uri):
                return (await client.read_resource(uri)).contents[0].text

            await use(list_tools, call, read_resource)
            if client.protocol_version >= "2026-07-28":
                async with client.listen(resource_subscriptions=["cluster://events"]) as changes:
                    await call("distributed_join_cluster", {"name": "Kitchen"})
                    await call("distributed_leave_cluster", {})
                    await call("distributed_join_cluster", {})
                    async with asyncio.timeout(20):
                        async for change in changes:
                            assert change.uri == "cluster://events", change
                            break
            return client.protocol_version

    return main


def fast():
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport

    async def main():
        async with Client(StdioTransport(command=PROGRAM, args=["mcp"], env=dict(os.environ))) as client:

            async def call(name, arguments):
                result = await client.call_tool(name, arguments)
                return result.structured_content

            async def list_tools():
                return [tool.name for tool in await client.list_tools()]

            async def read_resource(uri):
                return (await client.read_resource(uri))[0].text

            await use(list_tools, call, read_resource)

    return main


def mcp_use():
    os.environ["MCP_USE_ANONYMIZED_TELEMETRY"] = "false"  # It would tell its makers of each run.
    from mcp_use import MCPClient

    async def main():
        server = {"command": PROGRAM, "args": ["mcp"], "env": dict(os.environ)}
        client = MCPClient.from_dict({"mcpServers": {"clawster": server}})
        session = await client.create_session("clawster")
        try:

            async def call(name, arguments):
                result = await session.call_tool(name, arguments)
                assert not result.isError, result
                return result.structuredContent

            async def list_tools():
                return [tool.name for tool in await session.list_tools()]

            async def read_resource(uri):
                return (await session.read_resource(uri)).contents[0].text

            await use(list_tools, call, read_resource)
        finally:
            await client.close_all_sessions()

    return main


def installed(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main():
    sdk = importlib.metadata.version("mcp")
    if sdk.startswith("1."):
        print(f"mcp {sdk}: {asyncio.run(version_1()())}")
    else:
        for mode in ("auto", "legacy"):
            print(f"mcp {sdk}, {mode}: {asyncio.run(version_2(mode)())}")
    for package, client in (("fastmcp", fast), ("mcp-use", mcp_use)):
        if version := installed(package):
            asyncio.run(client()())
            print(f"{package} {version}")


sys.exit(main())
