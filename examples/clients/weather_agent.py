"""A weather agent: the model calls tools that run here, until it has its answer.

    pip install openai
    export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=<a token of the server>
    python weather_agent.py "Where is it warmer today, Sofia or Varna?"
"""

import json
import sys

from openai import OpenAI

DEGREES = {"Sofia": 21, "Varna": 24, "Burgas": 25}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "temperature",
            "description": "The temperature of a city now, in degrees Celsius.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "fahrenheit",
            "description": "Converts degrees Celsius to Fahrenheit.",
            "parameters": {
                "type": "object",
                "properties": {"celsius": {"type": "number"}},
                "required": ["celsius"],
                "additionalProperties": False,
            },
        },
    },
]


def run(name, arguments):
    if name == "temperature":
        return f"{DEGREES[arguments['city']]} °C"
    return f"{arguments['celsius'] * 9 / 5 + 32:.0f} °F"


def main():
    client = OpenAI()
    messages = [{"role": "user", "content": sys.argv[1]}]
    while True:
        reply = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS).choices[0]
        messages.append(reply.message)
        if reply.finish_reason != "tool_calls":
            break
        for call in reply.message.tool_calls:
            result = run(call.function.name, json.loads(call.function.arguments))
            print(f"{call.function.name}({call.function.arguments}) = {result}", file=sys.stderr)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    print(reply.message.content)


main()
