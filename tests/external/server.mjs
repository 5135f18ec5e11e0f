// Starts a server on a free port in a new folder, with the user admin, and stops it as an operator would.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

// Each setting is KEY=VALUE, as for --set.
export async function startServer(program, ...settings) {
  const folder = await mkdtemp(join(tmpdir(), 'clientele-'));
  // Only what a program can't do without: a setting left in somebody's shell must not decide the outcome.
  const surroundings = { cwd: folder, env: { PATH: process.env.PATH, CLIENTELE_LOG__FILTER: 'warn' } };

  const command = (args, input = '') => {
    const options = { ...surroundings, input, encoding: 'utf8' };
    const { status, stdout, stderr } = spawnSync(resolve(program), args, options);
    if (status !== 0) throw new Error(`clientele ${args.slice(0, 2).join(' ')}: ${stderr}`);
    return stdout.trim();
  };

  // The first start would show a password on a terminal only, and this isn't one.
  const password = randomBytes(16).toString('hex');
  const addUser = (name, permissions) => command(['user', 'add', name, '--permissions', permissions], `${password}\n`);
  addUser('admin', 'ALL');

  const options = settings.flatMap((setting) => ['--set', setting]);
  const server = spawn(resolve(program), ['serve', '--listen', '127.0.0.1:0', ...options], {
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

  return {
    address: await listening(),
    folder,
    password,
    authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`,
    addUser,
    createToken: (name, permissions) => command(['token', 'create', name, '--permissions', permissions]),
    revokeSessions(user) {
      const sessions = command(['session', 'list', '--user', user]).split('\n').filter(Boolean);
      for (const session of sessions) command(['session', 'revoke', session.split(' ')[0]]);
    },
    // Returns the path of the file.
    exportClients() {
      const file = join(folder, 'clients.ndjson');
      command(['export', file]);
      return file;
    },
    seed: (clients) => command(['seed', '--clients', `${clients}`]),
    // True if it ended as it should.
    async stop() {
      server.kill('SIGTERM');
      const [code, signal] = await ended;
      console.log(`SIGTERM: ${signal ? `killed by ${signal}` : `exit code ${code}`}`);
      return code === 0;
    },
    // For the end in any case; after stop, this only removes the folder.
    async remove() {
      server.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
