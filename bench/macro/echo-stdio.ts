// The echo server on stdin and stdout: a line in, a line out.
// Started by the gateways under test as `bun bench/macro/echo-stdio.ts`. Promises: both eras, answers of one turn go out in one write, and
// it ends when stdin does.
import { answerTo } from './answer.ts';

const decoder = new TextDecoder();
let rest = '';

for await (const bytes of Bun.stdin.stream()) {
  const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
  rest = lines.pop() ?? '';
  let replies = '';
  for (const line of lines) {
    const reply = answerTo(line);
    if (reply !== null) replies += `${reply}\n`;
  }
  if (replies !== '') await Bun.write(Bun.stdout, replies);
}
