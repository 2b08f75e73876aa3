// Drives pith serve with the official OpenAI client library, as a user of it would.
//   PITH_URL, PITH_KEY, PITH_MODEL and OPENAI_CLIENT (the folder that has node_modules) are set by
//   the test. Prints what it got as JSON.
import { createRequire } from 'node:module';

const require = createRequire(process.env.OPENAI_CLIENT + '/');
const { OpenAI } = require('openai');

const model = process.env.PITH_MODEL;
const client = new OpenAI({ baseURL: process.env.PITH_URL + '/v1', apiKey: process.env.PITH_KEY, maxRetries: 0 });
const ask = { model, prompt: process.env.PITH_PROMPT, max_tokens: 24, temperature: 1, seed: 7, logprobs: 1 };

const models = [];
for await (const m of client.models.list()) models.push(m.id);

const whole = await client.completions.create({ ...ask, n: 2 });

const stream = await client.completions.create({ ...ask, n: 2, stream: true, stream_options: { include_usage: true } });
const texts = ['', ''];
const logprobs = [[], []];
const finish = [null, null];
let usage = null;
for await (const chunk of stream) {
  usage = chunk.usage ?? usage;
  for (const c of chunk.choices) {
    texts[c.index] += c.text;
    logprobs[c.index].push(...(c.logprobs?.token_logprobs ?? []));
    finish[c.index] = c.finish_reason ?? finish[c.index];
  }
}

// A stream that the caller leaves.
const left = await client.completions.create({ ...ask, max_tokens: 200, stream: true });
for await (const _ of left) { left.controller.abort(); break; }

const failures = {};
const fails = async (name, call) => {
  try { await call(); failures[name] = null; } catch (e) {
    failures[name] = { kind: e.constructor.name, status: e.status, type: e.type, param: e.param };
  }
};
await fails('model', () => client.completions.create({ ...ask, model: 'nobody' }));
await fails('request', () => client.completions.create({ ...ask, max_tokens: 100000 }));
await fails('key', () => new OpenAI({ baseURL: process.env.PITH_URL + '/v1', apiKey: 'wrong', maxRetries: 0 }).models.list());
await fails('chat', () => client.chat.completions.create({ model, messages: [{ role: 'user', content: 'hello' }] }));

console.log(JSON.stringify({
  models, usage, failures,
  whole: whole.choices.map((c) => ({ text: c.text, finish: c.finish_reason, logprobs: c.logprobs.token_logprobs, tokens: c.logprobs.tokens.length })),
  stream: texts.map((text, i) => ({ text, finish: finish[i], logprobs: logprobs[i], tokens: logprobs[i].length })),
}));
