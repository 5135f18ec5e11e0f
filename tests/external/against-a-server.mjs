// Runs the suites of this folder against a started server: node against-a-server.mjs PATH/TO/clientele
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { furnish as furnishRest } from './schemathesis/furnish.mjs';
import { startServer } from './server.mjs';

const program = process.argv[2];
if (!program) {
  console.error('usage: node against-a-server.mjs PATH');
  process.exit(2);
}

// Clients, a template and a message, so that there is something to ask for.
async function furnish({ address, authorization, seed }) {
  seed(20);
  const query = `mutation {
    upsertMessageTemplate(input: {
      templateId: "welcome", name: "Welcome", event: CLIENT_CREATED, channel: EMAIL,
      conditions: { states: [PENDING_APPROVAL, INACTIVE, ACTIVE] }
      variants: [{ language: ENGLISH, subject: "Welcome", text: "Welcome.", html: "<p>Welcome.</p>" }]
    }) { messageTemplate { templateId } userErrors { message } }
    upsertClient(input: { client: { firstName: "Ines", lastName: "Okafor", emailAddress: "ines@example.test" } }) {
      client { messages { totalCount } } userErrors { message }
    }
  }`;
  const headers = { authorization, 'content-type': 'application/json' };
  const response = await fetch(`${address}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const text = await response.text();
  if (JSON.parse(text).data?.upsertClient?.client?.messages?.totalCount !== 1) throw new Error(`not furnished: ${text}`);
}

// Publishes the keys of an issuer of tokens, whose metrics exist only then.
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...publicKey.export({ format: 'jwk' }), kid: '1', alg: 'ES256' };
const issuer = createServer((_, response) => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key] }));
}).listen(0, '127.0.0.1');
await once(issuer, 'listening');
const fetched = new Promise((done) => { issuer.once('request', (_, response) => response.once('close', done)); });

const server = await startServer(
  program,
  'authentication.jwt.issuer=https://issuer.test',
  'authentication.jwt.audience=clientele',
  `authentication.jwt.jwks_url=http://127.0.0.1:${issuer.address().port}/`,
);
const { address, folder, authorization, password } = server;

function start(program, ...args) {
  const credentials = {
    CLIENTELE_AUTHORIZATION: authorization,
    CLIENTELE_PASSWORD: password,
    SCHEMATHESIS_HEADER: `Authorization: ${authorization}`,
  };
  return spawnSync(program, args, { stdio: 'inherit', env: { ...process.env, ...credentials } }).status === 0;
}

function run(suite, ...args) {
  return start(process.execPath, join(import.meta.dirname, suite), ...args);
}

try {
  await furnish(server);
  await fetched;
  const passed = [
    run('audits.mjs', `${address}/graphql`),
    run('browser.mjs', `${address}/playground`, process.env.SCREENSHOT ?? join(folder, 'playground.png')),
    start(join(import.meta.dirname, 'mambupy', 'run'), address),
    run('monitoring/check.mjs', address),
    // After the others: the generated requests change clients.
    await furnishRest(server).then(() => start(join(import.meta.dirname, 'schemathesis', 'openapi'), address)),
    // Last: the generated requests also change the definitions that all clients follow.
    start(join(import.meta.dirname, 'schemathesis', 'run'), `${address}/graphql`),
  ];
  const isStopped = await server.stop();
  process.exitCode = passed.every(Boolean) && isStopped ? 0 : 1;
} finally {
  issuer.close();
  await server.remove();
}
