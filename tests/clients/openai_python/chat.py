"""Answers, whole: what the client shows of them."""

import json

from openai import OpenAI

client = OpenAI()
told = {"models": [model.id for model in client.models.list()], "one_model": client.models.retrieve("haiku").id}

plain = client.chat.completions.create(
    model="sonnet", messages=[{"role": "user", "content": "[[words 3]] [[usage input_tokens=7]]"}]
)
told["plain"] = {
    "id": plain.id[:9],
    "object": plain.object,
    "model": plain.model,
    "role": plain.choices[0].message.role,
    "content": plain.choices[0].message.content,
    "finish_reason": plain.choices[0].finish_reason,
    "usage": [plain.usage.prompt_tokens, plain.usage.completion_tokens, plain.usage.total_tokens],
}

raw = client.chat.completions.with_raw_response.create(
    model="haiku",
    messages=[
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "three"}]},
    ],
    max_tokens=66,
    temperature=0.25,
    stop=["YY"],
    seed=1,
)
told["ignored"] = raw.headers.get("x-claude-exec-ignored")
told["request_id"] = bool(raw.headers.get("x-request-id"))
told["long"] = raw.parse().choices[0].message.content

cut = client.chat.completions.create(
    model="sonnet", messages=[{"role": "user", "content": "[[words 4]] [[stop max_tokens]]"}], max_tokens=4
)
told["cut"] = [cut.choices[0].message.content, cut.choices[0].finish_reason]
print(json.dumps(told))
