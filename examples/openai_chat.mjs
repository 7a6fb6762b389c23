// OpenAI's SDK for Node: the same swap.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.env.OPTIMUX_URL}/v1`, apiKey: process.env.OPTIMUX_KEY });
const stream = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "Explain quantum computing in one sentence." }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
