"""LangChain's ChatOpenAI: answers, streams, structured output, and an agent with tools."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cases import case, main, raises

import openai
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


def model(**options):
    return ChatOpenAI(model="sonnet", max_retries=0, **options)


@case
def a_whole_answer_with_its_usage():
    answer = model().invoke("[[words 3]] [[usage input_tokens=7]]")
    assert answer.content == "word0 word1 word2 ", answer
    assert answer.usage_metadata["input_tokens"] == 7, answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] == 3, answer.usage_metadata
    assert answer.response_metadata["finish_reason"] == "stop", answer.response_metadata


@case
def a_stream_that_adds_up():
    whole = None
    pieces = 0
    for chunk in model(stream_usage=True).stream("[[words 4]]"):
        pieces += bool(chunk.content)
        whole = chunk if whole is None else whole + chunk
    assert (whole.content, pieces) == ("word0 word1 word2 word3 ", 4), (whole, pieces)
    assert whole.usage_metadata["output_tokens"] == 4, whole.usage_metadata


@case
async def an_asynchronous_stream():
    pieces = [chunk.content async for chunk in model().astream("[[text Добър ден]]")]
    assert "".join(pieces) == "Добър ден", pieces


@case
def a_conversation_with_its_history():
    answer = model().invoke(
        [SystemMessage("Be brief."), HumanMessage("one"), AIMessage("two"), HumanMessage("[[text three]]")]
    )
    assert answer.content == "three", answer


@case
def several_at_once():
    answers = model().batch([f"[[text number {n}]]" for n in range(4)])
    assert [answer.content for answer in answers] == [f"number {n}" for n in range(4)], answers


@case
def sampling_and_limits():
    answer = model(temperature=0.25, max_tokens=7, stop_sequences=["X"]).invoke("[[text limited]]")
    assert answer.content == "limited", answer


class City(BaseModel):
    """A city and how many live there."""

    name: str
    people: int


@case
def structured_output():
    ask = model().with_structured_output(City, method="json_schema")
    city = ask.invoke('[[tool StructuredOutput {"name":"Sofia","people":1286000}]]')
    assert city == City(name="Sofia", people=1286000), city


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return json.dumps({"city": city, "degrees": 21})


@case
def a_tool_call():
    answer = model().bind_tools([get_weather]).invoke('[[tool mcp__client__get_weather {"city":"Sofia"}]]')
    calls = [(call["name"], call["args"]) for call in answer.tool_calls]
    assert calls == [("get_weather", {"city": "Sofia"})], answer


@case
def structured_output_by_a_tool():
    ask = model().with_structured_output(City, method="function_calling")
    city = ask.invoke('[[tool mcp__client__City {"name":"Plovdiv","people":346000}]]')
    assert city == City(name="Plovdiv", people=346000), city


@case
def an_agent_with_tools():
    agent = create_agent(model(), tools=[get_weather], system_prompt="You tell the weather.")
    asked = (
        '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[tool mcp__client__get_weather {"city":"Varna"}]]'
        ' [[next]] [[tool mcp__client__get_weather {"city":"Ruse"}]] [[next]] [[text 21 everywhere]]'
    )
    messages = agent.invoke({"messages": [{"role": "user", "content": asked}]})["messages"]
    kinds = [message.type for message in messages]
    assert kinds == ["human", "ai", "tool", "tool", "ai", "tool", "ai"], kinds
    results = [json.loads(message.content)["city"] for message in messages if message.type == "tool"]
    assert results == ["Sofia", "Varna", "Ruse"], results
    assert messages[-1].content == "21 everywhere", messages[-1]


@case
def errors_are_the_clients_own():
    raises(openai.AuthenticationError, lambda: ChatOpenAI(model="sonnet", api_key="wrong").invoke("hi"))
    raises(openai.BadRequestError, lambda: ChatOpenAI(model="gpt-none", max_retries=0).invoke("hi"))


main("langchain-openai")
