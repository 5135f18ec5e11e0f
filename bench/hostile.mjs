// Sends hostile requests to a running server and prints for each the answer, the time and the server's peak memory:
// node bench/hostile.mjs http://127.0.0.1:8080 PID
// The server should be an idle release build with its default settings, started with --no-auth, or with a token in
// CLIENTELE_HEADER="Authorization: Bearer …". The peak (VmHWM) counts from the start of the
// process, or from the last request where the system allows a reset. Both processes need 12,000 open files (ulimit -n)
// for the idle connections.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';

const [address, pid] = process.argv.slice(2);
if (!address || !pid) {
  console.error('usage: node bench/hostile.mjs URL PID');
  process.exit(2);
}
const header = process.env.CLIENTELE_HEADER;

const repeat = (count, of) => Array.from({ length: count }, (_, number) => of(number)).join(' ');
const nest = (levels, open, close) => open.repeat(levels) + close.repeat(levels);
const query = (text, variables) => JSON.stringify({ query: text, variables });
const link = (n) => `linkedClient { ...F${n + 1} }`;
const doubling = (fields) =>
  `{ clients(first: 1) { nodes { ...F0 } } } ${repeat(12, (n) => `fragment F${n} on Client { customInformation { a: ${link(n)} b: ${link(n)} } }`)} fragment F12 on Client { ${fields} }`;
const type = '{ fields { type { fields { type { name } } } } }';

const requests = {
  'one client, for comparison': query('{ clients(first: 1) { nodes { clientId } } }'),
  '1,000 levels of selections': query(nest(1_000, '{a', '}')),
  '30 levels of fields': query(`{ clients { nodes ${'{ customInformation { linkedClient '.repeat(14)}{ id }${' } }'.repeat(14)} } }`),
  '100,000 brackets in a value': query(`{ clients(filter: ${'['.repeat(100_000)}) { totalCount } }`),
  '100 aliases': query(`{ ${repeat(100, (n) => `a${n}: __typename`)} }`),
  '6,000 aliases': query(`{ ${repeat(6_000, (n) => `a${n}: __typename`)} }`),
  '200 directives': query(`{ __typename ${repeat(200, () => '@include(if: true)')} }`),
  'a fragment in itself': query('{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }'),
  'fragments that double, 40 times': query(`{ ...F0 } ${repeat(40, (n) => `fragment F${n} on Query { ...F${n + 1} ...F${n + 1} }`)} fragment F40 on Query { __typename }`),
  '20 KB in fragments that double': query(doubling(`messages(after: "${'x'.repeat(20_000)}") { totalCount }`)),
  'a wrong number in fragments that double': query(doubling('messages(first: 99999999999) { totalCount }')),
  'a variable of 500 KB in 400 places': query(`query($x: ID!) { ${repeat(400, (n) => `a${n}: node(id: $x) { id }`)} }`, { x: 'x'.repeat(500_000) }),
  'a variable of 900 KB in 20 places': query(`query($x: String) { ${repeat(20, (n) => `a${n}: messages(after: $x) { totalCount }`)} }`, { x: 'x'.repeat(900_000) }),
  '340,000 ids in 20 places, nothing asked of them': query(
    `query($x: [ID!]!) { ${repeat(20, (n) => `a${n}: nodes(ids: $x) { ... on Client { id @skip(if: true) } }`)} }`,
    { x: Array(340_000).fill('') },
  ),
  'a page for each linked client': query('{ clients(first: 1) { nodes { customInformation { linkedClient { messages(first: 500) { nodes { recipient } } } } } } }'),
  '1,000 variables of unknown types': query(`query(${repeat(1_000, (n) => `$a${n}: Unknown${n}`)}) { __typename }`),
  'one field 19,000 times': query(`{ ${repeat(19_000, () => '__typename')} }`),
  'one field 90,000 times': query(`{ ${'__typename '.repeat(90_000)} }`),
  'pages in pages': query('{ clients(first: 500) { nodes { customInformation { linkedClient { customInformation { linkedClient { id } } } } } } }'),
  '100,000 ids in a variable': query('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: Array(100_000).fill('x') }),
  'variables 100 deep': query('query($a: ClientFilter) { clients(filter: $a) { totalCount } }', { a: JSON.parse(nest(100, '[', ']')) }),
  '1,000 requests in one body': JSON.stringify(Array(1_000).fill({ query: '{ __typename }' })),
  'introspection in itself': query(`{ __schema { types ${type} } }`),
  '10 introspections': query(`{ ${repeat(10, (n) => `a${n}: __schema { types { fields { type { name } } } }`)} }`),
  'an unknown field of 500,000 letters': query(`{ ${'a'.repeat(500_000)} }`),
  '1,000 unknown fields': query(`{ ${repeat(1_000, (n) => `unknown${n}`)} }`),
  'a body of 2 MiB': query(`{ ${' '.repeat(2 * 1024 * 1024)} __typename }`),
};

const { hostname, port } = new URL(address);
const credentials = header ? `${header}\r\n` : '';
const head = `POST /graphql HTTP/1.1\r\nhost: ${hostname}\r\n${credentials}content-type: application/json\r\n`;

// Each request is written to its own socket, unlike with fetch, and the response is read to the end.
const conversations = {
  'a head of 1 MiB': (socket) => socket.write(`${head}x-long: ${'a'.repeat(1024 * 1024)}\r\n\r\n`),
  'a head of 10,000 headers': (socket) => socket.write(`${head}${'a: b\r\n'.repeat(10_000)}\r\n`),
  'a head that comes letter by letter': (socket) => trickle(socket, head, 500),
  'a body that comes letter by letter': (socket) => {
    socket.write(`${head}content-length: 1000000\r\n\r\n`);
    trickle(socket, ' '.repeat(1_000_000), 500);
  },
};

function trickle(socket, text, pause) {
  let sent = 0;
  const timer = setInterval(() => socket.write(text[sent++ % text.length]), pause);
  socket.on('close', () => clearInterval(timer));
}

async function converse(write) {
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (data) => (text += data)).on('error', () => {});
  await once(socket, 'connect');
  write(socket);
  await once(socket, 'close');
  const [, status = '-'] = /^HTTP\/1.1 (\d+)/.exec(text) ?? [];
  return { bytes: socket.bytesWritten, status, answer: `${text.split('\r\n\r\n')[1]?.slice(0, 90) || 'none'}, then closed` };
}

async function post(body) {
  const response = await fetch(`${address}/graphql`, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) });
  const text = await response.text();
  const error = JSON.parse(text).errors?.[0];
  const answer = error ? `${error.extensions.code}: ${error.message.slice(0, 90)}` : `data, ${text.length} bytes`;
  return { bytes: body.length, status: response.status, answer };
}

// From several addresses, because each has a limited number of connections.
async function resting(count) {
  const open = (_, number) => {
    const socket = connect({ port: Number(port), host: hostname, localAddress: `127.0.0.${10 + (number % 20)}` });
    return once(socket, 'connect').then(() => socket);
  };
  return Promise.all(Array.from({ length: count }, open));
}

function peak() {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kilobytes) / 1024;
}

function forget() {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // No permission to reset it: the peak counts from the start.
  }
}

const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' };
if (header) headers[header.slice(0, header.indexOf(':'))] = header.slice(header.indexOf(':') + 1).trim();

async function row(name, ask) {
  forget();
  const begun = performance.now();
  let row = { bytes: 0, status: '-' };
  try {
    row = await ask();
  } catch (error) {
    row.answer = `none: ${error.cause?.code ?? error.code ?? error.name}`;
  }
  const milliseconds = (performance.now() - begun).toFixed(1);
  console.log(`| ${name} | ${row.bytes} | ${row.status} | ${row.answer} | ${milliseconds} | ${peak().toFixed(0)} |`);
}

console.log('| request | bytes | status | answer | ms | peak MiB |\n|---|--:|--:|---|--:|--:|');
for (const [name, body] of Object.entries(requests)) await row(name, () => post(body));
await row('a large document in 500 variants, one after the other', async () => {
  const variant = (number) => query(`{ clients(first: 1) { nodes { ...A } } } ${small} # ${number}`);
  const small = `${repeat(9, (n) => `fragment ${'ABCDEFGHI'[n]} on Client { customInformation { a: linkedClient { ...${'BCDEFGHIJ'[n]} } b: linkedClient { ...${'BCDEFGHIJ'[n]} } } }`)} fragment J on Client { clientId }`;
  let last;
  for (let number = 0; number < 500; number += 1) last = await post(variant(number));
  return last;
});
for (const [name, write] of Object.entries(conversations)) await row(name, () => converse(write));
const sockets = await resting(10_000);
await row('one client beside 10,000 connections that say nothing', () => post(requests['one client, for comparison']));
for (const socket of sockets) socket.destroy();
