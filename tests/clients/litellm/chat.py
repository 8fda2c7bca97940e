"""LiteLLM as an SDK: its `openai/` provider pointed at the server."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cases import case, main, raises

import litellm

os.environ["OPENAI_API_BASE"] = os.environ["OPENAI_BASE_URL"]


def ask(content, **options):
    messages = [{"role": "user", "content": content}]
    return litellm.completion(model="openai/sonnet", messages=messages, num_retries=0, **options)


@case
def a_whole_answer_with_its_usage():
    answer = ask("[[words 3]] [[usage input_tokens=7]]")
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("word0 word1 word2 ", "stop"), answer
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3), answer.usage


@case
def a_stream_that_adds_up():
    chunks = list(ask("[[words 4]]", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "word0 word1 word2 word3 ", chunks
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].finish_reason == "stop", whole
    assert whole.usage.completion_tokens == 4, whole.usage


@case
async def an_asynchronous_stream():
    messages = [{"role": "user", "content": "[[text Добър ден]]"}]
    stream = await litellm.acompletion(model="openai/sonnet", messages=messages, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "Добър ден", text


@case
def sampling_and_limits():
    answer = ask("[[text limited]]", temperature=0.25, max_tokens=7, stop=["X"])
    assert answer.choices[0].message.content == "limited", answer


@case
def structured_output():
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
    answer = ask('[[tool StructuredOutput {"name":"Sofia"}]]', response_format=wanted)
    assert json.loads(answer.choices[0].message.content) == {"name": "Sofia"}, answer


@case
def a_tool_loop():
    weather = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    asked = '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[next]] [[text 21 degrees]]'
    messages = [{"role": "user", "content": asked}]
    options = {"model": "openai/sonnet", "tools": [weather], "num_retries": 0}
    first = litellm.completion(messages=messages, **options).choices[0]
    assert first.finish_reason == "tool_calls", first
    (call,) = first.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Sofia"}), call
    messages += [first.message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "21"}]
    second = litellm.completion(messages=messages, **options).choices[0]
    assert (second.message.content, second.finish_reason) == ("21 degrees", "stop"), second


@case
def errors_are_the_clients_own():
    raises(litellm.AuthenticationError, lambda: ask("hi", api_key="wrong"))
    unknown = [{"role": "user", "content": "hi"}]
    raises(
        litellm.BadRequestError,
        lambda: litellm.completion(model="openai/gpt-none", messages=unknown, num_retries=0),
    )
    raises(litellm.RateLimitError, lambda: ask("[[status 429 too many]]", max_retries=0))


main("litellm")
