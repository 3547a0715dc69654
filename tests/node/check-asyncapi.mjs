// Reads an AsyncAPI document with the official parser, and prints what that has to say of it as JSON:
// {"diagnostics": [{"severity", "code", "path", "message"}], "messages": {"<channel>": ["<message>", …]} or null}.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
const messages = document && Object.fromEntries(
  document.allChannels().all().map((channel) => [channel.id(), channel.messages().all().map((one) => one.id())]),
);
process.stdout.write(JSON.stringify({
  diagnostics: diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message })),
  messages: messages ?? null,
}));
