"""What the client does again by itself: a full queue, and not a failure that would only happen again."""

import json
import sys

import openai
from openai import OpenAI

client = OpenAI(max_retries=5)


def ask(text):
    return client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": text}])


try:
    OpenAI(max_retries=0).chat.completions.create(model="sonnet", messages=[{"role": "user", "content": "x"}])
except openai.RateLimitError as error:
    print(json.dumps([type(error).__name__, error.code, error.response.headers["retry-after"]]), flush=True)

sys.stdin.readline()
answer = ask("[[text served]]").choices[0].message.content
try:
    ask("[[status 401]]")
except openai.InternalServerError as error:
    print(json.dumps([answer, type(error).__name__, error.code]))
