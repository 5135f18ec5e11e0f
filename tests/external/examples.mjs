// Runs the applications of examples/ against started servers: node examples.mjs PATH/TO/clientele [EXAMPLE…]
// Their packages must be installed. A browser drives examples/web. The others must print what their READMEs show.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, resolve } from 'node:path';
import { drive } from './examples/web.mjs';
import { startServer } from './server.mjs';

const [program, ...chosen] = process.argv.slice(2);
if (!program) {
  console.error('usage: node examples.mjs PATH [EXAMPLE…]');
  process.exit(2);
}
const examples = resolve(import.meta.dirname, '../../examples');

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

// The files of a folder on an origin of its own, as a bank's web server would have them.
async function serveFiles(folder) {
  const files = createServer(async (request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url;
    try {
      const contents = await readFile(join(folder, path));
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(contents);
    } catch {
      response.writeHead(404).end();
    }
  });
  files.listen(0, '127.0.0.1');
  await once(files, 'listening');
  return { origin: `http://127.0.0.1:${files.address().port}`, close: () => files.close() };
}

// The server must know the page's origin, and the page the server's address: the page is built last.
async function web() {
  const folder = join(examples, 'web');
  const site = await serveFiles(join(folder, 'dist'));
  const server = await startServer(
    program,
    `cors.allowed_origins=["${site.origin}"]`,
    'graphql.trusted_documents=only',
    `graphql.trusted_documents_file=${join(folder, 'src/gql/persisted-documents.json')}`,
  );
  try {
    const env = { ...process.env, VITE_API_URL: `${server.address}/graphql` };
    execFileSync('npx', ['vite', 'build', '--logLevel', 'warn'], { cwd: folder, env, stdio: 'inherit' });
    await drive(site.origin, server);
    if (!(await server.stop())) throw new Error('the server did not stop as it should');
  } finally {
    site.close();
    await server.remove();
  }
}

// The `text` blocks of a README; … stands for any text.
async function shownOutputs(example) {
  const readme = await readFile(join(examples, example, 'README.md'), 'utf8');
  return [...readme.matchAll(/^```text\n(.*?)^```$/gms)].map((block) => block[1]);
}

// Runs commands against a server. Each must print what the block of the README with its number shows. A command is made
// from the server, and may complain only in this form.
async function script(example, commands, settings = []) {
  const server = await startServer(program, ...settings);
  try {
    const env = {
      ...process.env,
      API_URL: server.address,
      API_TOKEN: server.createToken('examples', 'VIEW_CLIENT,CREATE_CLIENT,EDIT_CLIENT'),
    };
    const options = { cwd: join(examples, example), env, encoding: 'utf8', timeout: 60_000 };
    const outputs = await shownOutputs(example);
    for (const { block, run, complaint = /^$/ } of commands) {
      const [command, ...args] = run(server);
      const { status, stdout: printed, stderr } = spawnSync(command, args, options);
      if (status !== 0 || !complaint.test(stderr)) throw new Error(`examples/${example}: exit ${status}\n${stderr}`);
      const shown = outputs[block];
      const form = shown.split('…').map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^\\n]*');
      if (!new RegExp(`^${form}$`).test(printed)) {
        throw new Error(`examples/${example} printed:\n${printed}\ninstead of, as in its README:\n${shown}`);
      }
    }
    if (!(await server.stop())) throw new Error('the server did not stop as it should');
    console.log(`${example}: printed what its README shows`);
  } finally {
    await server.remove();
  }
}

const suites = {
  web,
  typescript: () => script('typescript', [{ block: 0, run: () => ['node', 'dist/main.js'] }]),
  python: () => {
    const copy = (server) => join(server.folder, 'copy.db');
    const begin = (server) => ['python3', 'mirror.py', copy(server), server.exportClients()];
    // More requests than the server accepts at once, so that the programs must wait as Retry-After says.
    const complaint = /^(RATE_LIMITED: next attempt in 1 s\n)+$/;
    const commands = [
      { block: 1, run: begin },
      { block: 0, run: () => ['python3', 'main.py'], complaint },
      { block: 2, run: (server) => ['python3', 'mirror.py', copy(server)], complaint: /^(RATE_LIMITED.*\n)?$/ },
    ];
    return script('python', commands, ['rate_limit.per_second=1', 'rate_limit.burst=1']);
  },
  curl: () => script('curl', [{ block: 0, run: () => ['./run'] }]),
};
for (const [example, run] of Object.entries(suites)) {
  if (chosen.length === 0 || chosen.includes(example)) await run();
}
