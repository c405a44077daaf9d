// The client of @modelcontextprotocol/client 2.x as a driver, in each of its ways to settle the era.
// Called by scripts/compatibility.ts and its test. Promises: hears of changes as its era does, on the session's stream or on one it listens on.
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { CALL_MS_MAX, type ClientKind, type Driver, ROOT_URI } from './driver.ts';

type Mode = NonNullable<NonNullable<ClientOptions['versionNegotiation']>['mode']>;
type Listening = Awaited<ReturnType<Client['listen']>>;

const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

function answerAll(client: Client): void {
  client.setRequestHandler('sampling/createMessage', async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  client.setRequestHandler('elicitation/create', async () => ({
    action: 'accept',
    content: { username: 'ada', email: 'ada@example.org' },
  }));
  client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: ROOT_URI }] }));
}

function listenTo(client: Client, heard: string[]): void {
  client.setNotificationHandler('notifications/message', async ({ params }) => {
    heard.push(`log ${String(params.data)}`);
  });
  client.setNotificationHandler('notifications/tools/list_changed', async () => void heard.push('tools'));
  client.setNotificationHandler('notifications/prompts/list_changed', async () => void heard.push('prompts'));
  client.setNotificationHandler('notifications/resources/updated', async ({ params }) => {
    heard.push(params.uri);
  });
}

class NewSdk implements Driver {
  readonly heard: string[] = [];
  readonly #client: Client;
  readonly #transport: StreamableHTTPClientTransport;
  #listening: Listening | null = null;
  #meta: Record<string, unknown> = {};

  constructor(url: string, mode: Mode) {
    this.#transport = new StreamableHTTPClientTransport(new URL(url));
    this.#client = new Client(
      { name: 'compatibility', version: '1' },
      {
        versionNegotiation: { mode },
        capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} },
      },
    );
    answerAll(this.#client);
    listenTo(this.#client, this.heard);
  }

  async connect(): Promise<this> {
    await this.#client.connect(this.#transport);
    return this;
  }

  call: Driver['call'] = async (name, args = {}, { onProgress, signal } = {}) => {
    const { content, structuredContent } = await this.#client.callTool(
      { name, arguments: args, _meta: this.#meta },
      {
        timeout: CALL_MS_MAX,
        ...(onProgress === undefined ? {} : { onprogress: ({ progress }) => onProgress(progress) }),
        ...(signal === undefined ? {} : { signal }),
      },
    );
    const [block] = content;
    return { text: block?.type === 'text' ? block.text : '', structuredContent };
  };

  async toolNames(): Promise<readonly string[]> {
    return (await this.#client.listTools()).tools.map((tool) => tool.name);
  }

  promptPage: Driver['promptPage'] = async (cursor) => {
    const { prompts, nextCursor } = await this.#client.listPrompts(cursor === undefined ? {} : { cursor });
    return { names: prompts.map((prompt) => prompt.name), nextCursor };
  };

  async wantLogs(): Promise<void> {
    if (this.#isModern()) this.#meta = { [LOG_LEVEL]: 'info' };
    else await this.#client.setLoggingLevel('info');
  }

  async watch(uris: readonly string[]): Promise<void> {
    if (this.#isModern()) {
      await this.#listening?.close();
      const filter = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [...uris] };
      this.#listening = await this.#client.listen(filter);
      return;
    }
    for (const uri of uris) await this.#client.subscribeResource({ uri });
  }

  async close(): Promise<void> {
    await this.#listening?.close();
    if (!this.#isModern()) await this.#transport.terminateSession().catch(() => undefined);
    await this.#client.close();
  }

  #isModern(): boolean {
    return this.#client.getProtocolEra() === 'modern';
  }
}

function kind(name: string, words: string, mode: Mode): ClientKind {
  return {
    title: `SDK v2 (\`@modelcontextprotocol/client\` 2.4.0), ${words}`,
    name,
    limits: {},
    connect: (url) => new NewSdk(url, mode).connect(),
  };
}

/** The SDK's client in each of its ways. */
export const NEW_SDK: readonly ClientKind[] = [
  kind('sdk-v2-legacy', 'legacy', 'legacy'),
  kind('sdk-v2-auto', 'choosing the era by itself', 'auto'),
  kind('sdk-v2-modern', 'pinned to 2026-07-28', { pin: '2026-07-28' }),
];
