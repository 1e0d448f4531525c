"""A client of the Model Context Protocol, run by a Python that has the package of its kind.

    python mcp_client.py KIND WHERE PART [ID]

KIND is the package: sdk1 (mcp 1), sdk2 (mcp 2) or fastmcp. WHERE is a URL, or a command as JSON.
Prints what the client saw, as JSON.
"""

import asyncio
import contextlib
import json
import os
import sys
from datetime import timedelta


class Sdk1:
    """``mcp`` 1, which speaks 2025-11-25."""

    @contextlib.asynccontextmanager
    async def connected(self, where):
        """Connect, and be ready to call."""
        from mcp import ClientSession, StdioServerParameters, stdio_client
        from mcp.client.streamable_http import streamable_http_client

        if where.startswith("http"):
            transport = streamable_http_client(where)
        else:
            command, *arguments = json.loads(where)
            transport = stdio_client(StdioServerParameters(command=command, args=arguments))
        async with transport as streams, ClientSession(*streams[:2]) as self.session:
            await self.session.initialize()
            yield self

    async def names(self):
        """Return the names of the tools."""
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, name, progress=None, timeout=None, **arguments):
        """Call a tool; return its text, its data and whether it failed."""
        seconds = None if timeout is None else timedelta(seconds=timeout)
        result = await self.session.call_tool(name, arguments, progress_callback=progress,
                                              read_timeout_seconds=seconds)
        return [result.content[0].text, result.structuredContent, result.isError]

    async def cancel(self, name, begun, **arguments):
        """Call a tool, and tell the server that no answer is wanted any more."""
        from mcp import types

        id = self.session._request_id
        calling = asyncio.ensure_future(self.call(name, **arguments))
        await begun()
        await self.session.send_notification(types.ClientNotification(
            types.CancelledNotification(params=types.CancelledNotificationParams(requestId=id))))
        calling.cancel()


class Sdk2:
    """``mcp`` 2, which speaks 2026-07-28."""

    @contextlib.asynccontextmanager
    async def connected(self, where):
        """Connect, and be ready to call."""
        from mcp import Client, StdioServerParameters

        if not where.startswith("http"):
            command, *arguments = json.loads(where)
            where = StdioServerParameters(command=command, args=arguments)
        async with Client(where) as self.client:
            assert self.client.protocol_version == "2026-07-28"
            yield self

    async def names(self):
        """Return the names of the tools."""
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, name, progress=None, timeout=None, **arguments):
        """Call a tool; return its text, its data and whether it failed."""
        result = await self.client.call_tool(name, arguments, timeout, progress)
        return [result.content[0].text, result.structured_content, result.is_error]

    async def cancel(self, name, begun, **arguments):
        """Call a tool, and cancel that."""
        calling = asyncio.ensure_future(self.call(name, **arguments))
        await begun()
        calling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await calling


class FastMcp(Sdk2):
    """``fastmcp`` with ``fastmcp-tasks``."""

    @contextlib.asynccontextmanager
    async def connected(self, where):
        """Connect, and be ready to call."""
        import fastmcp_tasks.client  # noqa: F401  so that the client declares the extension
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport

        if not where.startswith("http"):
            command, *arguments = json.loads(where)
            where = StdioTransport(command, arguments, keep_alive=False)
        async with Client(where) as self.client:
            yield self

    async def names(self):
        """Return the names of the tools."""
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, name, progress=None, timeout=None, **arguments):
        """Call a tool; return its text, its data and whether it failed."""
        result = await self.client.call_tool(name, arguments, timeout=timeout,
                                             progress_handler=progress, raise_on_error=False)
        return [result.content[0].text, result.structured_content, result.is_error]

    async def task(self, name, **arguments):
        """Call a tool as a task; return the task."""
        from fastmcp_tasks.client import call_tool_task

        return await call_tool_task(self.client, name, arguments, raise_on_error=False)


async def calls(client):
    """List, call, see progress and an error."""
    progress = []

    async def note(step, total, message):
        progress.append([step, total, message])

    return {"tools": await client.names(), "quick": await client.call("quick", n=5),
            "steps": await client.call("steps", progress=note), "progress": progress,
            "fails": await client.call("fails")}


async def cancel(client):
    """Cancel a call once it has begun, and call again."""
    await client.cancel("ticks", lambda: written("cancelled"), log="cancelled")
    return {"ceased": await ceased("cancelled"), "quick": await client.call("quick", n=6)}


async def timeout(client):
    """Run into a timeout of the client's own."""
    try:
        await client.call("ticks", timeout=0.5, log="timed_out")
    except Exception as error:
        return {"error": type(error).__name__, "ceased": await ceased("timed_out")}


async def tasks(client):
    """Wait for a task, cancel another, and leave a third one's id."""
    first = await client.task("slow", seconds=1.2)
    result = await first.result()
    second = await client.task("ticks", log="task")
    await second.cancel()
    ended = await second.wait()
    has_ceased = await ceased("task")
    third = await client.task("slow", seconds=1.1)
    await third.wait()
    return {"result": result.content[0].text, "cancelled": ended.status, "ceased": has_ceased,
            "id": third.task_id}


async def written(path):
    """Wait until a file is there."""
    while True:
        if os.path.exists(path) and os.path.getsize(path):
            return
        await asyncio.sleep(0.01)


async def ceased(path):
    """Return whether a file stops growing within some seconds, while the client is there."""
    size = -1
    for _ in range(15):
        before = size
        size = os.path.getsize(path)
        if size == before:
            return True
        await asyncio.sleep(0.3)
    return False


async def got(client, id):
    """Return the result of a task that an earlier client has left."""
    from fastmcp_tasks.client import _send_get

    found = await _send_get(client.client.session, id)
    return {"status": found.status, "text": found.result["content"][0]["text"]}


async def main(kind, where, part, *more):
    """Connect and do a part; print what came of it."""
    client = {"sdk1": Sdk1, "sdk2": Sdk2, "fastmcp": FastMcp}[kind]()
    parts = {"calls": calls, "cancel": cancel, "timeout": timeout, "tasks": tasks, "got": got}
    async with client.connected(where):
        seen = await parts[part](client, *more)
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
