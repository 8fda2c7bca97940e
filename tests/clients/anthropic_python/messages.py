"""anthropic-python on `/v1/messages`."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cases import case, main, raises

import anthropic

BASE = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
client = anthropic.Anthropic(base_url=BASE, api_key=os.environ["OPENAI_API_KEY"], max_retries=0)


def ask(content, **options):
    options = {"model": "sonnet", "max_tokens": 1024, **options}
    return client.messages.create(messages=[{"role": "user", "content": content}], **options)


@case
def a_whole_answer_with_its_usage():
    answer = ask("[[words 3]] [[usage input_tokens=7]]")
    assert [block.text for block in answer.content] == ["word0 word1 word2 "], answer
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn"), answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3), answer.usage


@case
def a_stream_that_adds_up():
    message = [{"role": "user", "content": "[[words 4]]"}]
    with client.messages.stream(model="sonnet", max_tokens=1024, messages=message) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert pieces == ["word0 ", "word1 ", "word2 ", "word3 "], pieces
    assert (final.content[0].text, final.stop_reason) == ("".join(pieces), "end_turn"), final
    assert final.usage.output_tokens == 4, final.usage


@case
async def an_asynchronous_stream():
    own = anthropic.AsyncAnthropic(base_url=BASE, api_key=os.environ["OPENAI_API_KEY"])
    message = [{"role": "user", "content": "[[text Добър ден]]"}]
    async with own.messages.stream(model="sonnet", max_tokens=1024, messages=message) as stream:
        text = "".join([piece async for piece in stream.text_stream])
    assert text == "Добър ден", text


@case
def a_conversation_with_its_history():
    answer = client.messages.create(
        model="haiku",
        max_tokens=1024,
        system="Be brief.",
        messages=[
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": [{"type": "text", "text": "[[text three]]"}]},
        ],
    )
    assert answer.content[0].text == "three", answer


@case
def a_tool_loop():
    weather = {
        "name": "get_weather",
        "description": "The weather in a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    asked = '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[next]] [[text 21 degrees]]'
    first = ask(asked, tools=[weather])
    assert first.stop_reason == "tool_use", first
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Sofia"}), call
    second = client.messages.create(
        model="sonnet",
        max_tokens=1024,
        tools=[weather],
        messages=[
            {"role": "user", "content": asked},
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21"}]},
        ],
    )
    assert (second.content[0].text, second.stop_reason) == ("21 degrees", "end_turn"), second


@case
def errors_are_the_clients_own():
    wrong = anthropic.Anthropic(base_url=BASE, api_key="wrong", max_retries=0)
    options = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    raises(anthropic.AuthenticationError, lambda: wrong.messages.create(**options))
    raises(anthropic.NotFoundError, lambda: ask("hi", model="claude-none"))
    raises(anthropic.BadRequestError, lambda: ask(""))


main("anthropic")
