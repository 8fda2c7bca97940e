"""Failures, as the exceptions that the client raises for them."""

import json

import openai
from openai import OpenAI

client = OpenAI(max_retries=0)


def raised(act):
    """The exception's class and what it carries."""
    try:
        act()
    except openai.OpenAIError as error:
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None),
            "type": getattr(error, "type", None),
            "param": getattr(error, "param", None),
            "message": str(error),
        }
    return None


def ask(text, model="sonnet", who=client, **more):
    messages = [{"role": "user", "content": text}]
    return who.chat.completions.create(model=model, messages=messages, **more)


def broken():
    parts = []

    def read():
        for chunk in ask("[[words 3]] [[cut]]", stream=True):
            parts.append(chunk.choices[0].delta.content or "")

    error = raised(read)
    return {"text": "".join(parts), **(error or {})}


told = {
    "wrong_key": raised(lambda: ask("hello", who=OpenAI(api_key="sk-wrong-" + "0" * 32, max_retries=0))),
    "wrong_key_models": raised(lambda: OpenAI(api_key="sk-wrong", max_retries=0).models.list()),
    "unknown_model": raised(lambda: ask("hello", model="gpt-nonsense")),
    "unknown_model_retrieved": raised(lambda: client.models.retrieve("gpt-nonsense")),
    "no_messages": raised(lambda: client.chat.completions.create(model="sonnet", messages=[])),
    "bad_role": raised(
        lambda: client.chat.completions.create(model="sonnet", messages=[{"role": "king", "content": "x"}])
    ),
    "too_long": raised(lambda: ask("x" * 2_000_000)),
    "upstream_400": raised(lambda: ask("[[status 400]]")),
    "upstream_401": raised(lambda: ask("[[status 401]]")),
    "upstream_401_stream": raised(lambda: ask("[[status 401]]", stream=True)),
    "upstream_404": raised(lambda: ask("[[status 404]]")),
    "mid_stream": broken(),
    "after_all": ask("[[text fine]]").choices[0].message.content,
}
print(json.dumps(told))
