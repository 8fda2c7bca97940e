"""A conversation of 20 turns, as every program keeps one with a stateless endpoint."""

import json

from openai import OpenAI

client = OpenAI()
messages = []
answers = []
for turn in range(20):
    messages.append({"role": "user", "content": f"question {turn} [[text answer {turn}\u00e9 ]]"})
    if turn % 2:
        chunks = client.chat.completions.create(model="sonnet", messages=messages, stream=True)
        answer = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        answer = client.chat.completions.create(model="sonnet", messages=messages).choices[0].message.content
    answers.append(answer)
    messages.append({"role": "assistant", "content": answer})
print(json.dumps({"answers": answers, "messages": messages}))
