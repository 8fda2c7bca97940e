"""Pipecat's OpenAILLMService in a pipeline: speech as it comes, an interruption, a function call, usage."""

import asyncio
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cases import case, main

from loguru import logger

logger.remove()  # what fails is told by the cases

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.frames.frames import (
    EndFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.workers.runner import WorkerRunner


class Heard(FrameProcessor):
    """Keeps what passes, and wakes whoever waits for more."""

    def __init__(self):
        super().__init__()
        self.frames = []
        self.more = asyncio.Event()

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        self.more.set()
        await self.push_frame(frame, direction)

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def text(self):
        return "".join(frame.text for frame in self.of(LLMTextFrame))

    async def until(self, holds):
        async with asyncio.timeout(40):
            while not holds():
                self.more.clear()
                await self.more.wait()


async def talk(context, play):
    """Runs a pipeline around the service while `play(worker, heard)` does."""
    llm = OpenAILLMService(
        api_key=os.environ["OPENAI_API_KEY"],
        base_url=os.environ["OPENAI_BASE_URL"],
        settings=OpenAILLMService.Settings(model="haiku"),
    )
    heard = Heard()
    pair = LLMContextAggregatorPair(context)
    worker = PipelineWorker(
        Pipeline([llm, heard, pair.assistant()]),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
        params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
    )
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_started(_worker, _frame):
        started.set()

    async def script():
        await asyncio.wait_for(started.wait(), 30)
        try:
            await play(worker, heard)
        except BaseException:
            await worker.cancel()  # a turn that hangs would hold back the end
            raise
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), script())
    return heard


def said(text):
    return LLMContext(messages=[{"role": "user", "content": text}])


@case
async def speech_as_it_comes_with_its_usage():
    context = said("[[words 4]]")

    async def play(worker, heard):
        await worker.queue_frame(LLMContextFrame(context))
        await heard.until(lambda: heard.of(LLMFullResponseEndFrame))

    heard = await talk(context, play)
    pieces = [frame.text for frame in heard.of(LLMTextFrame)]
    assert pieces == ["word0 ", "word1 ", "word2 ", "word3 "], pieces
    usages = [
        data.value.completion_tokens
        for frame in heard.of(MetricsFrame)
        for data in frame.data
        if isinstance(data, LLMUsageMetricsData)
    ]
    assert usages == [4], usages


@case
async def an_interruption_ends_the_turn_and_the_next_one_is_heard():
    context = said("[[text Once upon a time]] [[silence]]")

    async def play(worker, heard):
        await worker.queue_frame(LLMContextFrame(context))
        await heard.until(lambda: "time" in heard.text())
        await worker.queue_frame(InterruptionFrame())
        await heard.until(lambda: heard.of(InterruptionFrame))
        context.add_message({"role": "user", "content": "[[text Yes?]]"})
        await worker.queue_frame(LLMContextFrame(context))
        await heard.until(lambda: heard.text().endswith("Yes?") and heard.of(LLMFullResponseEndFrame))

    heard = await talk(context, play)
    assert heard.text() == "Once upon a timeYes?", heard.text()


@case
async def a_function_call():
    asked = []

    async def weather(params):
        asked.append(dict(params.arguments))
        await params.result_callback({"degrees": 21})

    schema = FunctionSchema(
        name="get_weather",
        description="The weather in a city.",
        properties={"city": {"type": "string"}},
        required=["city"],
        handler=weather,
    )
    text = '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[next]] [[text 21 degrees]]'
    context = LLMContext(messages=[{"role": "user", "content": text}], tools=[schema])

    async def play(worker, heard):
        await worker.queue_frame(LLMContextFrame(context))
        await heard.until(lambda: "21 degrees" in heard.text())

    heard = await talk(context, play)
    assert asked == [{"city": "Sofia"}], asked
    assert [frame.result for frame in heard.of(FunctionCallResultFrame)] == [{"degrees": 21}], heard.frames


main("pipecat-ai")
