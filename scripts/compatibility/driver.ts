// A real client that is connected, whatever its make: what the features of the matrix need of it.
// Implemented in sdk-old.ts, sdk-new.ts and inspector.ts; called by features.ts. Promises: types only.

/** A tool's result, as far as the matrix looks. */
export interface CallResult {
  readonly text: string;
  readonly structuredContent: unknown;
}

/** How a call is made. */
export interface CallOptions {
  onProgress?(progress: number): void;
  readonly signal?: AbortSignal;
}

/** One page of the list of prompts. */
export interface PromptPage {
  readonly names: readonly string[];
  readonly nextCursor: string | undefined;
}

/** A client that is connected. It answers questions: user `ada`, city `Paris`, root ROOT_URI. */
export interface Driver {
  call(tool: string, args?: Record<string, unknown>, options?: CallOptions): Promise<CallResult>;
  toolNames(): Promise<readonly string[]>;
  promptPage(cursor?: string): Promise<PromptPage>;
  /** Wants to hear log messages from `info` on. */
  wantLogs(): Promise<void>;
  /** Wants to hear of changes of the lists, and of these resources. */
  watch(uris: readonly string[]): Promise<void>;
  /** `tools`, `prompts`, `log …` and URIs, in the order of their notifications. */
  readonly heard: readonly string[];
  close(): Promise<void>;
}

/** The only root of every driver. */
export const ROOT_URI = 'file:///home/ada';
/** Longest wait for a call. */
export const CALL_MS_MAX = 8_000;

/** Kinds of clients, by the title of their table. */
export interface ClientKind {
  readonly title: string;
  /** What `--only` calls it. */
  readonly name: string;
  /** What this client cannot do by its own nature, by the feature's name: the reason. */
  readonly limits: Readonly<Record<string, string>>;
  connect(url: string): Promise<Driver>;
}
