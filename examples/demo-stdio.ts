// An MCP server on stdin and stdout to try Sluice with: notes and text statistics.
// Started by Sluice as examples/sluice.yaml says. Promises: speaks every revision of MCP that the SDK knows; ends when its
// stdin does; notes live as long as the process.
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const NOTES_MAX = 1000;
const notes: string[] = ['Sluice is one door between many AI clients and many MCP servers.'];

function allNotes(): string {
  return notes.map((note, index) => `${index + 1}. ${note}`).join('\n');
}

function createNotes(): McpServer {
  const server = new McpServer({ name: 'sluice-demo-notes', version: '1.0.0' });

  server.registerTool(
    'add',
    {
      title: 'Add a note',
      description: 'Keeps a note until the server ends.',
      inputSchema: z.object({ text: z.string().min(1).max(10_000).describe('The note') }),
    },
    ({ text }) => {
      if (notes.length === NOTES_MAX) notes.shift();
      notes.push(text);
      return { content: [{ type: 'text', text: `Note ${notes.length} is kept.` }] };
    },
  );

  server.registerTool(
    'list',
    { title: 'List notes', description: 'Tells all notes.', annotations: { readOnlyHint: true } },
    () => ({ content: [{ type: 'text', text: allNotes() }] }),
  );

  server.registerTool(
    'count',
    {
      title: 'Text statistics',
      description: 'Counts the characters, words and lines of a text.',
      inputSchema: z.object({ text: z.string().describe('The text to count') }),
      outputSchema: z.object({ characters: z.int(), words: z.int(), lines: z.int() }),
      annotations: { readOnlyHint: true },
    },
    ({ text }) => {
      const result = {
        characters: [...text].length,
        words: text.split(/\s+/).filter((word) => word !== '').length,
        lines: text.split('\n').length,
      };
      return { content: [{ type: 'text', text: JSON.stringify(result) }], structuredContent: result };
    },
  );

  server.registerPrompt(
    'summarise',
    { title: 'Summarise the notes', description: 'Asks for a summary of all notes.' },
    () => ({
      messages: [{ role: 'user', content: { type: 'text', text: `Summarise these notes:\n${allNotes()}` } }],
    }),
  );

  server.registerResource(
    'notes',
    'notes://all',
    { title: 'Notes', description: 'All notes, one a line.', mimeType: 'text/plain' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: allNotes() }] }),
  );
  return server;
}

serveStdio(createNotes);
