// openai-node, unmodified: answers, streams, structured output, tools, responses, errors, hang-up.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { main } from "./cases.mjs";

const client = new OpenAI({ maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const ask = (content, options = {}) =>
  client.chat.completions.create({ model: "sonnet", messages: user(content), ...options });

const weather = {
  name: "get_weather",
  description: "The weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

await main("openai", {
  async a_whole_answer_with_its_usage() {
    const answer = await ask("[[words 3]] [[usage input_tokens=7]]");
    const { message, finish_reason } = answer.choices[0];
    assert.deepEqual([message.role, message.content, finish_reason], ["assistant", "word0 word1 word2 ", "stop"]);
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [7, 3, 10]);
  },

  async a_stream_that_ends_with_its_body() {
    const stream = await ask("[[words 4]]", { stream: true, stream_options: { include_usage: true } });
    const pieces = [];
    let usage;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual(pieces, ["word0 ", "word1 ", "word2 ", "word3 "]);
    assert.equal(usage.completion_tokens, 4);
  },

  async the_stream_helper() {
    const stream = client.chat.completions.stream({ model: "sonnet", messages: user("[[text Добър ден]]") });
    const deltas = [];
    stream.on("content", (delta) => deltas.push(delta));
    const final = await stream.finalChatCompletion();
    assert.equal(final.choices[0].message.content, "Добър ден");
    assert.equal(deltas.join(""), "Добър ден");
  },

  async structured_output() {
    const City = z.object({ name: z.string(), people: z.number() });
    const answer = await client.chat.completions.parse({
      model: "sonnet",
      messages: user('[[tool StructuredOutput {"name":"Sofia","people":1286000}]]'),
      response_format: zodResponseFormat(City, "city"),
    });
    assert.deepEqual(answer.choices[0].message.parsed, { name: "Sofia", people: 1286000 });
  },

  async a_tool_loop() {
    const asked = [];
    const runner = client.chat.completions.runTools({
      model: "sonnet",
      messages: user(
        '[[tool mcp__client__get_weather {"city":"Sofia"}]] [[tool mcp__client__get_weather {"city":"Varna"}]]' +
          ' [[next]] [[text 21 degrees]]',
      ),
      tools: [
        {
          type: "function",
          function: {
            ...weather,
            parse: JSON.parse,
            function: ({ city }) => {
              asked.push(city);
              return "21";
            },
          },
        },
      ],
    });
    assert.equal(await runner.finalContent(), "21 degrees");
    assert.deepEqual(asked, ["Sofia", "Varna"]);
  },

  async a_streamed_tool_call() {
    const stream = await ask('[[tool mcp__client__get_weather {"city":"Sofia"}]]', {
      stream: true,
      tools: [{ type: "function", function: weather }],
    });
    let [name, args, reason] = ["", "", null];
    for await (const { choices } of stream) {
      const call = choices[0]?.delta.tool_calls?.[0];
      name += call?.function?.name ?? "";
      args += call?.function?.arguments ?? "";
      reason = choices[0]?.finish_reason ?? reason;
    }
    assert.deepEqual([name, JSON.parse(args), reason], ["get_weather", { city: "Sofia" }, "tool_calls"]);
  },

  async responses() {
    const first = await client.responses.create({ model: "sonnet", input: "[[text one]]" });
    assert.equal(first.output_text, "one");
    assert.equal(first.status, "completed");
    const next = { model: "sonnet", input: "[[recall]]", previous_response_id: first.id };
    const second = await client.responses.create(next);
    assert.match(second.output_text, /\[\[text one\]\]/);
  },

  async streamed_responses() {
    const stream = await client.responses.create({ model: "sonnet", input: "[[words 3]]", stream: true });
    const types = [];
    let text = "";
    let last = -1;
    for await (const event of stream) {
      assert.equal(event.sequence_number, last + 1);
      last = event.sequence_number;
      types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, "word0 word1 word2 ");
    assert.equal(types[0], "response.created");
    assert.equal(types.at(-1), "response.completed");
  },

  async errors_are_the_clients_own() {
    const wrong = new OpenAI({ apiKey: "wrong", maxRetries: 0 });
    await assert.rejects(wrong.models.list(), OpenAI.AuthenticationError);
    await assert.rejects(ask("hi", { model: "gpt-none" }), OpenAI.BadRequestError);
    await assert.rejects(ask("hi", { n: 2 }), (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "n");
      return true;
    });
  },

  async leaving_in_the_middle() {
    const stream = await ask("[[text Once upon a time]] [[silence]]", { stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content === "time") break; // aborts the request
    }
    const answer = await ask("[[text still there]]");
    assert.equal(answer.choices[0].message.content, "still there");
  },
});
