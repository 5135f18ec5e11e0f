// Creates the first client with an installed program: node first-client.mjs SECONDS COMMAND [ARGUMENTS]
// The command runs as in a new folder: a user is added, the server starts, a client is created, and SIGTERM stops it. Fails
// when that takes more than SECONDS, including those in STARTED_AT (milliseconds since 1970) when it is set.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const [seconds, command, ...common] = process.argv.slice(2);
if (!command) {
  console.error('usage: node first-client.mjs SECONDS COMMAND [ARGUMENTS]');
  process.exit(2);
}
const begin = Number(process.env.STARTED_AT ?? Date.now());
const password = 'a password of this test';
const settings = ['--listen', '127.0.0.1:0', '--set', 'log.format=text', '--set', 'log.filter=error'];

const added = spawnSync(command, [...common, 'user', 'add', 'admin', '--permissions', 'ALL'], { input: `${password}\n` });
assert.equal(added.status, 0, `no user could be added: ${added.error ?? added.stderr}`);
const server = spawn(command, [...common, 'serve', ...settings], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = once(server, 'exit');

async function listening() {
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.startsWith('listening on ')) return line.slice('listening on '.length);
  }
  throw new Error('the server ended before it listened');
}

try {
  const address = await listening();
  const authorization = `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;
  const query = `mutation {
    upsertClient(input: { client: { firstName: "Ines", lastName: "Okafor" } }) { client { fullName } userErrors { message } }
  }`;
  const headers = { authorization, 'content-type': 'application/json' };
  const response = await fetch(`${address}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  assert.deepEqual(await response.json(), { data: { upsertClient: { client: { fullName: 'Ines Okafor' }, userErrors: [] } } });
  const took = (Date.now() - begin) / 1000;
  const page = await (await fetch(`${address}/playground`)).text();
  assert.match(page, /"\/playground\/assets\/graphiql-[0-9a-f]{12}\.js"/, 'the playground is not part of the program');
  const health = spawnSync(command, [...common, 'health', '--listen', new URL(address).host], { encoding: 'utf8' });
  assert.equal(health.stdout, 'ready\n');
  server.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  assert.ok(took <= Number(seconds), `the first client took ${took} s`);
  console.log(`first client after ${took.toFixed(1)} s`);
} finally {
  server.kill('SIGKILL');
}
