// The registry of a running gateway: what is added, changed and removed, what wins, what is refused, and what people see of it.
// Runs control/registry/live-registry.ts over a gateway of paper.
import { describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { MemoryStore } from '../../../../src/control/registry/memory-store.ts';
import { type AuditEvent, MASK } from '../../../../src/control/registry/registry.ts';
import { codeOf, done, paperGateway, TERMS } from '../../../fixtures/registry.ts';

const A = { url: 'http://a.example/mcp' };
const B = { url: 'http://b.example/mcp' };
const FILE = { servers: { far: A } };

describe('a change', () => {
  test('is kept, told of, and taken up', async () => {
    const { registry, served } = await paperGateway(FILE);
    const added = done(await registry.put('near', B, TERMS));
    expect(added).toMatchObject({ isNew: true, server: { name: 'near', origin: 'registry', version: 1 } });
    expect(added.plan).toMatchObject({ starts: ['near'], stops: [], changes: [] });
    await registry.settled();
    expect(served()).toEqual(['far', 'near']);
    const changed = done(await registry.put('near', { ...B, headers: { A: 'b' } }, TERMS));
    expect(changed.plan.changes).toEqual([{ server: 'near', keys: ['headers.A'] }]);
    const removed = done(await registry.remove('near', TERMS));
    expect([removed.plan.stops, removed.server]).toEqual([['near'], null]);
    await registry.settled();
    expect(served()).toEqual(['far']);
  });

  test('is not made when only its plan is asked for', async () => {
    const { registry, store, served } = await paperGateway(FILE);
    const planned = done(await registry.put('near', B, { ...TERMS, isPlan: true }));
    expect(planned).toMatchObject({ server: null, isNew: true, plan: { starts: ['near'] } });
    await registry.settled();
    expect([store.list(), store.audit(0, 9).items, served()]).toEqual([[], [], ['far']]);
  });

  test('hangs on the version that it expects', async () => {
    const { registry } = await paperGateway(FILE);
    const version = done(await registry.put('near', B, { ...TERMS, expect: 'new' })).server?.version ?? 0;
    expect(codeOf(await registry.put('near', A, { ...TERMS, expect: 'new' }))).toBe('GW_REGISTRY_EXISTS');
    expect(codeOf(await registry.put('near', A, { ...TERMS, expect: version + 1 }))).toBe(
      'GW_REGISTRY_VERSION',
    );
    expect(codeOf(await registry.remove('near', { ...TERMS, expect: version + 1 }))).toBe(
      'GW_REGISTRY_VERSION',
    );
    expect(codeOf(await registry.put('other', A, { ...TERMS, expect: 1 }))).toBe('GW_REGISTRY_UNKNOWN');
    expect(codeOf(await registry.put('near', A, { ...TERMS, expect: version }))).toBe('ok');
    expect(codeOf(await registry.remove('other', TERMS))).toBe('GW_REGISTRY_UNKNOWN');
    expect(codeOf(await registry.patch('other', {}, TERMS))).toBe('GW_REGISTRY_UNKNOWN');
  });

  test.each([
    ['an unknown key', { ...B, colour: 'red' }, 'colour'],
    ['a value out of bounds', { ...B, timeouts: { connectMs: 0 } }, 'timeouts.connectMs'],
    ['no target', {}, ''],
    ['no mapping', 'http://x', ''],
    ['a variable that is not set', { ...B, headers: { A: '${MISSING}' } }, 'headers.A'],
    ['a file that is not there', { url: 'https://b.example/', tls: { ca: '/nowhere/ca.pem' } }, 'tls.ca'],
  ])('is refused with %s', async (_, settings, key) => {
    const { registry, store } = await paperGateway(FILE);
    const refused = await registry.put('near', settings, TERMS);
    expect(refused).toMatchObject({ ok: false, code: 'GW_REGISTRY_VALUE' });
    expect(!refused.ok && refused.problems.map((problem) => problem.key)).toEqual([key]);
    expect(store.list()).toEqual([]);
  });

  test.each([['with blank'], ['__proto__'], ['a__b'], [''], ['x'.repeat(40)]])(
    'is refused for the name %p',
    async (name) => {
      const { registry, store } = await paperGateway(FILE);
      expect(codeOf(await registry.put(name, B, TERMS))).toBe('GW_REGISTRY_VALUE');
      expect(store.list()).toEqual([]);
    },
  );

  test('is refused beyond the room that there is', async () => {
    const { registry } = await paperGateway({ ...FILE, registry: { serversMax: 1 } });
    done(await registry.put('one', B, TERMS));
    expect(codeOf(await registry.put('two', B, TERMS))).toBe('GW_REGISTRY_VALUE');
    expect(codeOf(await registry.put('one', A, TERMS))).toBe('ok');
  });

  test('enables and disables', async () => {
    const { registry, served } = await paperGateway(FILE);
    done(await registry.put('near', B, TERMS));
    const off = done(await registry.setEnabled('near', false, TERMS));
    expect(off.plan.notes).toContain("'near' is disabled: it is kept and not served");
    expect(off.server?.isEnabled).toBe(false);
    await registry.settled();
    expect(served()).toEqual(['far']);
    expect(done(await registry.setEnabled('near', true, TERMS)).server?.settings).toEqual(B);
    await registry.settled();
    expect(served()).toEqual(['far', 'near']);
    expect(registry.audit(0, 9).items.map(({ action }) => action)).toEqual(['create', 'disable', 'enable']);
  });

  test('by a patch follows RFC 7396', async () => {
    const { registry } = await paperGateway(FILE);
    done(await registry.put('near', { ...B, headers: { a: '1', b: '2' }, queueDepthMax: 5 }, TERMS));
    done(await registry.patch('near', { headers: { a: null, c: '3' }, queueDepthMax: null }, TERMS));
    const [near] = await paperSettings(registry);
    expect(near?.settings).toEqual({ ...B, headers: { b: '2', c: '3' } });
  });

  test('many at once become few reloads, and all are in force when they have settled', async () => {
    const { registry, applied, served } = await paperGateway(FILE);
    const names = Array.from({ length: 200 }, (_, i) => `s${i}`);
    for (const outcome of await Promise.all(names.map((name) => registry.put(name, B, TERMS)))) done(outcome);
    await registry.settled();
    expect(served()).toEqual(['far', ...names]);
    expect(applied.length).toBeLessThan(20);
  });
});

/** Settings as they are kept, by way of an export with its secrets. */
async function paperSettings(registry: {
  exportText(format: 'mcpServers', hasSecrets: boolean): Promise<string>;
}): Promise<readonly { readonly name: string; readonly settings: unknown }[]> {
  const text = await registry.exportText('mcpServers', true);
  const { mcpServers } = JSON.parse(text) as { mcpServers: Record<string, Record<string, unknown>> };
  return Object.entries(mcpServers)
    .filter(([name]) => name !== 'far')
    .map(([name, { type: _, ...settings }]) => ({ name, settings }));
}

describe('the file', () => {
  test('has servers that nothing changes here', async () => {
    const { registry } = await paperGateway(FILE);
    for (const outcome of [
      await registry.put('far', B, TERMS),
      await registry.patch('far', {}, TERMS),
      await registry.remove('far', TERMS),
      await registry.setEnabled('far', false, TERMS),
    ])
      expect(codeOf(outcome)).toBe('GW_REGISTRY_FILE');
  });

  test('wins over an entry of the same name, which is shown as shadowed and may go', async () => {
    const { registry, served, reloader } = await paperGateway({ servers: {} });
    done(await registry.put('far', B, TERMS));
    await registry.settled();
    await registry.merge({ ...reloader.running, config: (await paperGateway(FILE)).reloader.running.config });
    await reloader.request('file');
    expect(reloader.running.snapshot.servers[0]?.target).toMatchObject({ host: 'a.example' });
    expect(registry.list().map(({ name, origin, isShadowed }) => [name, origin, isShadowed])).toEqual([
      ['far', 'file', false],
      ['far', 'registry', true],
    ]);
    expect(registry.get('far')?.origin).toBe('file');
    const removed = done(await registry.remove('far', TERMS));
    expect(removed.plan).toMatchObject({
      stops: [],
      notes: ["the file has a server 'far' too, and that one is in force"],
    });
    await registry.settled();
    expect(served()).toEqual(['far']);
  });

  test('keeps the names of its endpoints', async () => {
    const { registry } = await paperGateway({ ...FILE, endpoints: { team: { servers: ['far'] } } });
    expect(codeOf(await registry.put('team', B, TERMS))).toBe('GW_REGISTRY_VALUE');
  });

  test('may have no servers at all', async () => {
    const { registry, served } = await paperGateway({ servers: {} });
    done(await registry.put('near', B, TERMS));
    await registry.settled();
    expect(served()).toEqual(['near']);
  });
});

describe('secrets', () => {
  const SECRET = {
    url: 'https://user:pass@b.example/mcp?token=abc&v=${V}',
    headers: { Authorization: 'Bearer abc', 'X-From-Env': 'Bearer ${TOKEN}' },
  };
  const PROCESS = {
    command: 'run',
    args: ['--api-key', 'abc', '--token=abc', '--mode=fast', 'x'],
    env: { A: 'abc', B: '${TOKEN}' },
  };
  const env = { TOKEN: 't', V: '1' };

  test('are not shown, references to the environment are', async () => {
    const { registry } = await paperGateway(FILE, { env });
    done(await registry.put('near', SECRET, TERMS));
    done(await registry.put('run', PROCESS, TERMS));
    expect(registry.get('near')?.settings).toEqual({
      url: `https://${MASK}@b.example/mcp?token=${MASK}&v=\${V}`,
      headers: { Authorization: MASK, 'X-From-Env': 'Bearer ${TOKEN}' },
    });
    expect(registry.get('run')?.settings).toEqual({
      command: 'run',
      args: ['--api-key', MASK, `--token=${MASK}`, '--mode=fast', 'x'],
      env: { A: MASK, B: '${TOKEN}' },
    });
    for (const text of [
      JSON.stringify(registry.audit(0, 9)),
      await registry.exportText('yaml', false),
      JSON.stringify(registry.list()),
    ])
      expect(text).not.toContain('abc');
  });

  test('that come back as they were shown are the stored ones', async () => {
    const { registry } = await paperGateway(FILE, { env });
    done(await registry.put('near', SECRET, TERMS));
    done(await registry.put('run', PROCESS, TERMS));
    const near = registry.get('near')?.settings ?? {};
    done(await registry.put('near', { ...near, queueDepthMax: 7 }, TERMS));
    done(
      await registry.patch('run', { args: ['--verbose', ...argsOf(registry.get('run')?.settings)] }, TERMS),
    );
    const kept = await paperSettings(registry);
    expect(kept).toEqual([
      { name: 'near', settings: { ...SECRET, queueDepthMax: 7 } },
      { name: 'run', settings: { ...PROCESS, args: ['--verbose', ...PROCESS.args] } },
    ]);
  });

  test('that were never there are asked for', async () => {
    const { registry } = await paperGateway(FILE);
    const refused = await registry.put('near', { ...B, headers: { Authorization: MASK } }, TERMS);
    expect(refused).toMatchObject({
      code: 'GW_REGISTRY_VALUE',
      problems: [{ key: 'headers.Authorization' }],
    });
  });
});

function argsOf(settings: Readonly<Record<string, unknown>> | undefined): readonly unknown[] {
  return Array.isArray(settings?.args) ? settings.args : [];
}

describe('what is kept', () => {
  test('and cannot be served harms nobody, and is said', async () => {
    const store = new MemoryStore(() => 0, 'a test');
    const { registry } = await paperGateway(FILE, { store, env: { TOKEN: 't' } });
    done(await registry.put('near', { ...B, headers: { A: '${TOKEN}' } }, TERMS));
    done(await registry.put('other', B, TERMS));
    // The same registry, and the variable is gone.
    const later = await paperGateway(FILE, { store });
    expect(later.served()).toEqual(['far', 'other']);
    expect(later.registry.get('near')).toMatchObject({
      isEnabled: true,
      problem: expect.stringContaining('headers.A'),
    });
    expect(later.messages()).toContain('a server of the registry cannot be served');
  });

  test('takes its relative paths from where the file is', async () => {
    const { registry, reloader } = await paperGateway(FILE);
    done(await registry.put('near', { command: './run', args: ['.'] }, TERMS));
    await registry.settled();
    expect(reloader.running.snapshot.servers[1]?.target).toMatchObject({
      command: '/work/run',
      cwd: '/work',
    });
  });
});

describe('import and export', () => {
  const YAML =
    'listen: { port: 1 }\nservers:\n  one: { url: http://one.example/ }\n  far: { url: http://x/ }\n  bad: { url: 5 }\n';

  test('take over what is new and sound, and say what is not', async () => {
    const { registry, served } = await paperGateway(FILE);
    const planned = done(await registry.importText(YAML, 'yaml', { actor: 'tester', isPlan: true }));
    expect(planned).toMatchObject({ added: ['one'], plan: { starts: ['one'] } });
    expect(registry.list()).toHaveLength(1);
    const imported = done(await registry.importText(YAML, 'yaml', { actor: 'tester' }));
    expect(imported.added).toEqual(['one']);
    expect(imported.skipped.map(({ name }) => name).sort()).toEqual(['bad', 'far']);
    expect(imported.plan.notes).toEqual(['listen: left out: only servers are taken over']);
    await registry.settled();
    expect(served()).toEqual(['far', 'one']);
    expect(registry.audit(0, 9).items.map(({ action, subject }) => [action, subject])).toEqual([
      ['import', 'one'],
    ]);
  });

  test('read the files of clients', async () => {
    const { registry } = await paperGateway(FILE);
    const text = JSON.stringify({
      mcpServers: {
        one: { type: 'http', url: 'http://one.example/', disabled: false, alwaysAllow: ['x'] },
        two: { command: 'two' },
      },
    });
    const imported = done(await registry.importText(text, 'json', { actor: 'tester' }));
    expect(imported.added).toEqual(['one', 'two']);
    expect(imported.plan.notes[0]).toContain('alwaysAllow');
  });

  test('refuse what cannot be read, with its line', async () => {
    const { registry } = await paperGateway(FILE);
    const refused = await registry.importText('servers:\n  a: [', 'yaml', { actor: 'tester' });
    expect(refused).toMatchObject({
      code: 'GW_REGISTRY_VALUE',
      problems: [{ detail: expect.stringContaining('line ') }],
    });
    expect(codeOf(await registry.importText('{}', 'json', { actor: 'tester' }))).toBe('GW_REGISTRY_VALUE');
  });

  test.each(['yaml', 'mcpServers'] as const)('give the same servers back by way of %s', async (format) => {
    const env = { TOKEN: 't' };
    const { registry } = await paperGateway(FILE, { env });
    done(
      await registry.put('one', { ...B, headers: { A: 'secret', B: '${TOKEN}' }, transport: 'sse' }, TERMS),
    );
    done(await registry.put('two', { command: 'two', args: ['a b'], env: { X: 'y' } }, TERMS));
    const text = await registry.exportText(format, true);
    const other = await paperGateway({ servers: {} }, { env });
    done(await other.registry.importText(text, format === 'yaml' ? 'yaml' : 'json', { actor: 'tester' }));
    // Clients' files say nothing of a transport that is to be found out.
    const told = async (one: typeof registry): Promise<unknown> =>
      JSON.parse(
        await one.exportText('mcpServers', true),
        (key, value) => (key === 'transport' ? undefined : value) as unknown,
      );
    expect(await told(other.registry)).toEqual(await told(registry));
    if (format === 'yaml')
      expect(await other.registry.exportText('yaml', true)).toBe(await registry.exportText('yaml', true));
  });
});

describe('events', () => {
  test('are told to who listens, and notes lead to no reload', async () => {
    const { registry, applied } = await paperGateway(FILE);
    const heard: AuditEvent[] = [];
    const end = registry.onEvent((event) => heard.push(event));
    await registry.noteAction({ actor: 'tester', action: 'trip', subject: 'far/0' });
    await registry.settled();
    expect(applied).toHaveLength(0);
    done(await registry.put('near', { ...B, headers: { A: 'secret' } }, TERMS));
    end();
    done(await registry.remove('near', TERMS));
    expect(heard.map(({ action, subject, after }) => [action, subject, after])).toEqual([
      ['trip', 'far/0', null],
      ['create', 'near', { ...B, headers: { A: MASK } }],
    ]);
  });
});

test('the plan of a change is what the whole configuration, compiled anew, would say', async () => {
  const settings = fc.constantFrom<unknown>(
    A,
    B,
    { ...B, disabled: true },
    { ...A, queueDepthMax: 9 },
    { command: 'x' },
  );
  const step = fc.record({ name: fc.constantFrom('one', 'two', 'far'), settings: fc.option(settings) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 5 }), async (steps) => {
      const { registry } = await paperGateway(FILE);
      for (const { name, settings: given } of steps) {
        const change = (isPlan: boolean) =>
          given === null
            ? registry.remove(name, { ...TERMS, isPlan })
            : registry.put(name, given, { ...TERMS, isPlan });
        const planned = await change(true);
        const made = await change(false);
        expect(codeOf(made)).toBe(codeOf(planned));
        if (planned.ok && made.ok) expect(made.plan).toEqual(planned.plan);
        await registry.settled();
      }
    }),
    { numRuns: 25 },
  );
}, 30_000);
