"""The Responses API: whole, streamed, gone on from, fetched, deleted."""

import asyncio
import json

import openai
from openai import AsyncOpenAI, OpenAI

client = OpenAI(max_retries=0)


def raised(act, *fields):
    try:
        act()
    except openai.OpenAIError as error:
        return [type(error).__name__, *[getattr(error, field) for field in fields]]


plain = client.responses.create(model="sonnet", input="[[words 2]] [[usage input_tokens=7]]", instructions="Be terse.")
usage = plain.usage
told = {"plain": [plain.output_text, plain.status, [usage.input_tokens, usage.output_tokens, usage.total_tokens]]}
told["again"] = client.responses.retrieve(plain.id).output_text
second = client.responses.create(model="sonnet", input="[[text recalled]]", previous_response_id=plain.id)
told["recalled"] = second.output_text

items = list(client.responses.input_items.list(second.id, limit=2, order="asc"))
told["items"] = [[item.role, item.content[0].text] for item in items]

with client.responses.stream(model="sonnet", input="[[text Добър ден]]") as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response()
# Each kind once: the deltas may be several.
told["stream"] = [list(dict.fromkeys(kinds)), final.output_text]

raw = client.responses.create(model="sonnet", input=[{"role": "user", "content": "[[words 3]]"}], stream=True)
told["raw"] = "".join(event.delta for event in raw if event.type == "response.output_text.delta")

cut = client.responses.create(model="sonnet", input="[[words 2]] [[stop max_tokens]]", max_output_tokens=2)
told["cut"] = [cut.status, cut.incomplete_details.reason]

thought = client.responses.create(
    model="sonnet", input="[[thinking 2]] [[text so]]", reasoning={"effort": "low", "summary": "auto"}
)
told["thought"] = [item.type for item in thought.output]


async def one():
    async with AsyncOpenAI() as own:
        return (await own.responses.create(model="sonnet", input="[[text so]]", store=False)).output_text


told["async"] = asyncio.run(one())
client.responses.delete(plain.id)
told["gone"] = raised(lambda: client.responses.retrieve(plain.id), "status_code")
told["no_previous"] = raised(
    lambda: client.responses.create(model="sonnet", input="x", previous_response_id=plain.id), "code"
)
print(json.dumps(told))
