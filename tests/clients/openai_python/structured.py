"""Answers parsed into pydantic's models."""

import enum
import json
from typing import Optional

import openai
from openai import OpenAI
from pydantic import BaseModel

client = OpenAI(max_retries=0)


class Mood(enum.Enum):
    calm = "calm"
    wild = "wild"


class Visit(BaseModel):
    year: int
    note: Optional[str]


class Place(BaseModel):
    """A place."""

    city: str
    mood: Mood
    visits: list[Visit]


GOOD = 'Well. [[tool StructuredOutput {"city":"Sofia","mood":"calm","visits":[{"year":2025,"note":null}]}]]'


def messages(text):
    return [{"role": "user", "content": text}]


def shown(place):
    return json.loads(place.model_dump_json())


def raised(act):
    try:
        act()
    except openai.OpenAIError as error:
        return error


def parse(text):
    return client.chat.completions.parse(model="sonnet", messages=messages(text), response_format=Place)


told = {"chat": shown(parse(GOOD).choices[0].message.parsed)}
with client.chat.completions.stream(model="sonnet", messages=messages(GOOD), response_format=Place) as stream:
    told["stream"] = shown(stream.get_final_completion().choices[0].message.parsed)
told["responses"] = shown(client.responses.parse(model="sonnet", input=GOOD, text_format=Place).output_parsed)
with client.responses.stream(model="sonnet", input=GOOD, text_format=Place) as stream:
    told["responses_stream"] = shown(stream.get_final_response().output_parsed)
answer = client.chat.completions.create(
    model="sonnet",
    messages=messages('[[tool StructuredOutput {"any":[1]}]]'),
    response_format={"type": "json_object"},
)
told["object"] = json.loads(answer.choices[0].message.content)
prose = raised(lambda: parse("[[text In Sofia, I think.]]"))
told["prose"] = [type(prose).__name__, prose.code]
told["cut"] = type(raised(lambda: parse("[[text In]] [[stop max_tokens]]"))).__name__
print(json.dumps(told))
