// Lines between threads on Node's MessageChannel.
// Called by node.ts and node-worker.ts only. Promises: runtime.ts's Port; an end that has gone to another thread is dead on this one; a line keeps no thread alive.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import type { Port } from './runtime.ts';

/** One end, around the platform's. */
class NodePort implements Port {
  readonly raw: MessagePort;

  constructor(raw: MessagePort) {
    this.raw = raw;
  }

  post(message: unknown): void {
    this.raw.postMessage(message);
  }

  onMessage(callback: (message: unknown) => void): void {
    this.raw.removeAllListeners('message');
    this.raw.on('message', callback);
    this.raw.unref();
  }

  close(): void {
    this.raw.close();
  }
}

/** The two ends of a fresh line. */
export function nodeChannel(): readonly [Port, Port] {
  const { port1, port2 } = new MessageChannel();
  return [new NodePort(port1), new NodePort(port2)];
}

/** The platform's ends behind ours, to go with a message. */
export function releasePorts(ports: readonly Port[]): MessagePort[] {
  return ports.map((port) => {
    assert(port instanceof NodePort, 'a port goes to a thread of the runtime that made it');
    return port.raw;
  });
}

/** Ours around the platform's ends that came with a message. */
export function adoptPorts(ports: readonly MessagePort[]): readonly Port[] {
  return ports.map((port) => new NodePort(port));
}
