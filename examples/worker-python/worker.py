"""Completes tasks of the kind `greet`, two at a time, until SIGTERM or Ctrl-C."""

import asyncio
import signal

from clawster import connect


async def greet(task):
    # May run a second time after a failure: only the result is taken once. An exception returns the task for another attempt.
    return {"greeting": f"Hello, {task.payload['name']}!", "attempt": task.attempt}


async def main():
    async with connect() as client:
        working = asyncio.create_task(client.work("greet", greet, jobs=2))
        # What is unfinished when the worker stops is returned, and goes to another worker at once.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        try:
            await working
        except asyncio.CancelledError:
            pass


asyncio.run(main())
