// What a tool answered: text, pictures, sounds, resources, structured content, errors.
// Called by views/try-it.tsx. Promises: nothing of an answer is run or loaded from elsewhere; what has no form of its own is shown as JSON.
import type { Json } from '../api/types.ts';
import { isObject, type JsonObject } from '../model/schema-fields.ts';
import { Code, JsonCode } from './code.tsx';

const textAt = (block: JsonObject, key: string): string => {
  const value = block[key];
  return typeof value === 'string' ? value : '';
};

/** A picture of the kinds that hold no scripts when they are shown as pictures. */
function Picture({ block }: { readonly block: JsonObject }) {
  return (
    <img
      class="picture"
      alt="What the tool drew"
      src={`data:${textAt(block, 'mimeType')};base64,${textAt(block, 'data')}`}
    />
  );
}

function Block({ block }: { readonly block: Json }) {
  if (!isObject(block)) return <JsonCode value={block} label="Content" />;
  const resource = isObject(block.resource) ? block.resource : null;
  switch (block.type) {
    case 'text':
      return <Code text={textAt(block, 'text')} label="Text" />;
    case 'image':
      return <Picture block={block} />;
    case 'audio':
      return (
        <p>
          <a download="sound" href={`data:${textAt(block, 'mimeType')};base64,${textAt(block, 'data')}`}>
            Sound ({textAt(block, 'mimeType')})
          </a>
        </p>
      );
    case 'resource':
      return resource !== null && typeof resource.text === 'string' ? (
        <>
          <p class="muted">{textAt(resource, 'uri')}</p>
          <Code text={resource.text} label="Resource" />
        </>
      ) : (
        <JsonCode value={block} label="Resource" />
      );
    default:
      return <JsonCode value={block} label="Content" />;
  }
}

/** The result of a call. */
export function ToolResult({ result }: { readonly result: JsonObject }) {
  const blocks: readonly Json[] = Array.isArray(result.content) ? result.content : [];
  return (
    <div class="result">
      {result.isError === true ? <p class="fault">The tool says that it failed.</p> : null}
      {blocks.map((block, at) => (
        <Block key={at} block={block} />
      ))}
      {result.structuredContent === undefined ? null : (
        <>
          <h4>Structured</h4>
          <JsonCode value={result.structuredContent} label="Structured content" />
        </>
      )}
      <details>
        <summary>The whole result</summary>
        <JsonCode value={result} label="The whole result" />
      </details>
    </div>
  );
}
