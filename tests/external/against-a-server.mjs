// Starts a server on a free port in a new folder, runs the suites of this folder against it, and stops it as an operator would:
// node against-a-server.mjs PATH/TO/clientele
import { spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const program = process.argv[2];
if (!program) {
  console.error('usage: node against-a-server.mjs PATH');
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), 'clientele-'));
// Only what a program can't do without: a setting left in somebody's shell must not decide the outcome.
const surroundings = { cwd: folder, env: { PATH: process.env.PATH, CLIENTELE_LOG__FILTER: 'warn' } };

// The first start would show a password on a terminal only, and this isn't one.
const password = randomBytes(16).toString('hex');
const added = spawnSync(resolve(program), ['user', 'add', 'admin', '--permissions', 'ALL'], {
  ...surroundings,
  input: `${password}\n`,
  stdio: ['pipe', 'inherit', 'inherit'],
});
if (added.status !== 0) throw new Error('no user could be added');

// Publishes the keys of an issuer of tokens, whose metrics exist only then.
const key = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), kid: '1', alg: 'ES256' };
const issuer = createServer((_, response) => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key] }));
}).listen(0, '127.0.0.1');
await once(issuer, 'listening');
const fetched = new Promise((done) => { issuer.once('request', (_, response) => response.once('close', done)); });

const server = spawn(resolve(program), [
  'serve', '--listen', '127.0.0.1:0',
  '--set', 'authentication.jwt.issuer=https://issuer.test', '--set', 'authentication.jwt.audience=clientele',
  '--set', `authentication.jwt.jwks_url=http://127.0.0.1:${issuer.address().port}/`,
], {
  ...surroundings,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const ended = once(server, 'exit');

async function listening() {
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.startsWith('listening on ')) return line.slice('listening on '.length);
  }
  throw new Error('the server ended before it listened');
}

const authorization = () => `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;

// Clients, a template and a message, so that there is something to ask for.
async function furnish(address) {
  const seed = spawnSync(resolve(program), ['seed', '--clients', '20'], { cwd: folder, env: { PATH: process.env.PATH } });
  if (seed.status !== 0) throw new Error(`seed: ${seed.stderr}`);
  const query = `mutation {
    upsertMessageTemplate(input: {
      templateId: "welcome", name: "Welcome", event: CLIENT_CREATED, channel: EMAIL, conditions: { states: [PENDING_APPROVAL, INACTIVE, ACTIVE] }
      variants: [{ language: ENGLISH, subject: "Welcome", text: "Welcome.", html: "<p>Welcome.</p>" }]
    }) { messageTemplate { templateId } userErrors { message } }
    upsertClient(input: { client: { firstName: "Ines", lastName: "Okafor", emailAddress: "ines@example.test" } }) {
      client { messages { totalCount } } userErrors { message }
    }
  }`;
  const headers = { authorization: authorization(), 'content-type': 'application/json' };
  const response = await fetch(`${address}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const text = await response.text();
  if (JSON.parse(text).data?.upsertClient?.client?.messages?.totalCount !== 1) throw new Error(`not furnished: ${text}`);
}

function start(program, ...args) {
  const credentials = {
    CLIENTELE_AUTHORIZATION: authorization(),
    CLIENTELE_PASSWORD: password,
    SCHEMATHESIS_HEADER: `Authorization: ${authorization()}`,
  };
  return spawnSync(program, args, { stdio: 'inherit', env: { ...process.env, ...credentials } }).status === 0;
}

function run(suite, ...args) {
  return start(process.execPath, join(import.meta.dirname, suite), ...args);
}

try {
  const address = await listening();
  await furnish(address);
  await fetched;
  const passed = [
    run('audits.mjs', `${address}/graphql`),
    run('browser.mjs', `${address}/playground`, process.env.SCREENSHOT ?? join(folder, 'playground.png')),
    start(join(import.meta.dirname, 'mambupy', 'run'), address),
    run('monitoring/check.mjs', address),
    // Last: the generated requests also change the definitions that all clients follow.
    start(join(import.meta.dirname, 'schemathesis', 'run'), `${address}/graphql`),
  ];
  server.kill('SIGTERM');
  const [code, signal] = await ended;
  console.log(`SIGTERM: ${signal ? `killed by ${signal}` : `exit code ${code}`}`);
  process.exitCode = passed.every(Boolean) && code === 0 ? 0 : 1;
} finally {
  server.kill('SIGKILL');
  issuer.close();
  await rm(folder, { recursive: true, force: true });
}
