// Vercel's AI SDK through its `openai-compatible` provider.

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { main } from "./cases.mjs";

const provider = createOpenAICompatible({
  name: "local",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider("sonnet");

const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => ({ city, degrees: 21 }),
  }),
};

await main("ai", {
  async a_whole_answer_with_its_usage() {
    const { text, finishReason, usage } = await generateText({ model, prompt: "[[words 3]] [[usage input_tokens=7]]" });
    assert.deepEqual([text, finishReason], ["word0 word1 word2 ", "stop"]);
    assert.deepEqual([usage.inputTokens, usage.outputTokens], [7, 3]);
  },

  async a_stream_that_adds_up() {
    const { textStream, usage } = streamText({ model, prompt: "[[words 4]]" });
    const pieces = [];
    for await (const piece of textStream) pieces.push(piece);
    assert.deepEqual(pieces, ["word0 ", "word1 ", "word2 ", "word3 "]);
    assert.equal((await usage).outputTokens, 4);
  },

  async an_object() {
    const { object } = await generateObject({
      model,
      schema: z.object({ name: z.string(), people: z.number() }),
      prompt: '[[tool StructuredOutput {"name":"Sofia","people":1286000}]]',
    });
    assert.deepEqual(object, { name: "Sofia", people: 1286000 });
  },

  async tools_in_two_rounds() {
    const prompt =
      '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[next]]' +
      ' [[tool mcp__client__get_weather {"city":"Varna"}]] [[next]] [[text 21 in both]]';
    const { text, steps } = await generateText({ model, prompt, tools, stopWhen: stepCountIs(5) });
    assert.equal(text, "21 in both");
    const results = steps.flatMap((step) => step.toolResults.map((result) => result.output));
    assert.deepEqual(results, [
      { city: "Sofia", degrees: 21 },
      { city: "Varna", degrees: 21 },
    ]);
  },

  async errors_are_the_clients_own() {
    const wrong = createOpenAICompatible({ name: "local", baseURL: process.env.OPENAI_BASE_URL, apiKey: "wrong" });
    await assert.rejects(generateText({ model: wrong("sonnet"), prompt: "hi", maxRetries: 0 }), (error) => {
      assert.equal(error.statusCode, 401);
      return true;
    });
  },
});
