// Certificates for the TLS tests, made by openssl in a directory of their own.
// Called by the tests with TLS. Promises: nothing is kept; null, with the reason on stderr, when there is no openssl.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly ca: string;
  /** For good.test and 127.0.0.1. */
  readonly good: Pair;
  /** For other.test only. */
  readonly other: Pair;
  readonly client: Pair;
  /** Signed by nobody that anyone trusts. */
  readonly stranger: Pair;
}

/** Makes a CA and four certificates. */
export function makeCertificates(): Certificates | null {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
  const openssl = (...args: string[]): void => {
    const done = spawnSync('openssl', args, { cwd: folder });
    if (done.status !== 0) throw new Error(`openssl ${args[0]}: ${done.stderr}`);
  };
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const read = (name: string): Pair => ({
    cert: readFileSync(join(folder, `${name}.pem`), 'utf8'),
    key: readFileSync(join(folder, `${name}.key`), 'utf8'),
  });
  const self = (name: string): void =>
    openssl(
      'req',
      '-x509',
      ...curve,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
    );
  const signed = (name: string, names: string): void => {
    openssl('req', ...curve, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(join(folder, 'names'), `subjectAltName=${names}\n`);
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names', '-days', '2'];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
  };
  try {
    self('ca');
    self('stranger');
    signed('good', 'DNS:good.test,IP:127.0.0.1');
    signed('other', 'DNS:other.test');
    signed('client', 'DNS:client.test');
    return {
      ca: read('ca').cert,
      good: read('good'),
      other: read('other'),
      client: read('client'),
      stranger: read('stranger'),
    };
  } catch (error) {
    process.stderr.write(`TLS tests skipped: ${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
