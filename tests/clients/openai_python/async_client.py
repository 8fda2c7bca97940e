"""The asynchronous client: several answers at once, both ways."""

import asyncio
import json

from openai import AsyncOpenAI


async def main():
    async with AsyncOpenAI() as client:

        async def whole(text):
            answer = await client.chat.completions.create(
                model="sonnet", messages=[{"role": "user", "content": text}]
            )
            return answer.choices[0].message.content

        async def streamed(text):
            stream = await client.chat.completions.create(
                model="sonnet", messages=[{"role": "user", "content": text}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        answers = await asyncio.gather(
            whole("[[text one]]"), streamed("[[text two]]"), whole("[[text three]]"), streamed("[[text four]]")
        )
        print(json.dumps(answers))


asyncio.run(main())
