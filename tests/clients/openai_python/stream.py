"""Answers, streamed: every chunk that the client gives."""

import json

from openai import OpenAI

client = OpenAI()


def ask(text, **more):
    return client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": text}], stream=True, **more
    )


def shape(chunk):
    choice = chunk.choices[0] if chunk.choices else None
    return [
        choice and choice.delta.role,
        choice and choice.delta.content,
        choice and choice.finish_reason,
        chunk.usage and [chunk.usage.prompt_tokens, chunk.usage.completion_tokens, chunk.usage.total_tokens],
    ]


chunks = list(ask("[[words 3]]"))
told = {
    "plain": [shape(chunk) for chunk in chunks],
    "ids": len({chunk.id for chunk in chunks}),
    "kinds": sorted({chunk.object for chunk in chunks}),
    "models": sorted({chunk.model for chunk in chunks}),
    "usage": [shape(chunk) for chunk in ask("[[words 2]] [[usage input_tokens=7]]", stream_options={"include_usage": True})],
}
# The accumulating helper is stricter: it wants every field in its place.
with client.chat.completions.stream(
    model="sonnet", messages=[{"role": "user", "content": "[[thinking 2]] [[text Добър ден]]"}]
) as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_completion()
told["helper"] = [sorted(set(kinds)), final.choices[0].message.content, final.choices[0].finish_reason]
print(json.dumps(told))
