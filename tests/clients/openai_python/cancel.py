"""Leaves in the middle: a stream closed, an asynchronous one, and a wait given up."""

import asyncio
import json

import openai
from openai import AsyncOpenAI, OpenAI

ENDLESS = [{"role": "user", "content": "[[words 2]] [[silence]]"}]


def closed():
    with OpenAI().chat.completions.create(model="sonnet", messages=ENDLESS, stream=True) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                return chunk.choices[0].delta.content


async def cancelled():
    client = AsyncOpenAI()
    begun = asyncio.Event()

    async def read():
        stream = await client.chat.completions.create(model="sonnet", messages=ENDLESS, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    finally:
        await client.close()


def given_up():
    try:
        OpenAI(max_retries=0, timeout=3).chat.completions.create(model="sonnet", messages=ENDLESS)
    except openai.APITimeoutError as error:
        return type(error).__name__


print(json.dumps([closed(), asyncio.run(cancelled()), given_up()]), flush=True)
# Whoever waits on stdin keeps this process, and so any connection it has kept, alive.
input()
