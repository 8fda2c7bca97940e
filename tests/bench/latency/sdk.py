"""Takes a turn with the vendor's client for each line on stdin; prints the seconds to the first text."""

import asyncio
import os
import sys
import time

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, StreamEvent


async def turn(client):
    first = None
    start = time.perf_counter()
    await client.query(os.environ["PROMPT"])
    async for message in client.receive_response():
        if first is None and isinstance(message, StreamEvent):
            if message.event.get("delta", {}).get("type") == "text_delta":
                first = time.perf_counter() - start
    return first


async def main():
    options = ClaudeAgentOptions(
        cli_path=os.environ["CLI"],
        model="sonnet",
        system_prompt=os.environ["SYSTEM_PROMPT"],
        tools=[],
        strict_mcp_config=True,
        setting_sources=[],
        include_partial_messages=True,
        extra_args={"disable-slash-commands": None},
    )
    async with ClaudeSDKClient(options=options) as client:
        while await asyncio.to_thread(sys.stdin.readline):
            print(await turn(client), flush=True)


asyncio.run(main())
