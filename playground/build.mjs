// Fills dist/ with what the server embeds: the files that page/index.html names, taken from the npm packages after comparing
// version and hash, and the page itself with local addresses. No bundler: the packages ship files a browser can use.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const here = import.meta.dirname;
const dist = join(here, 'dist');
const pinned = /https:\/\/cdn\.jsdelivr\.net\/npm\/([a-z-]+)@([0-9.]+)\/([\w./-]+)" integrity="(sha384-[^"]+)"/g;

async function empty(folder) {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) if (name !== '.gitignore') await rm(join(folder, name), { recursive: true });
}

async function copy([, name, version, path, integrity]) {
  const folder = join(here, 'node_modules', name);
  const installed = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')).version;
  if (installed !== version) throw new Error(`page/index.html wants ${name} ${version}, package-lock.json has ${installed}`);
  const content = await readFile(join(folder, path));
  const hash = `sha384-${createHash('sha384').update(content).digest('base64')}`;
  if (hash !== integrity) throw new Error(`${name}/${path} has the hash ${hash}, not the one in page/index.html`);
  // The version is in the name, so that a browser may keep the file for ever.
  const file = `${name}-${version}${path.slice(path.lastIndexOf('.'))}`;
  await writeFile(join(dist, file), content);
  const license = await readFile(join(folder, 'LICENSE'), 'utf8');
  return { file, notice: `${name} ${version}\n\n${license}` };
}

const page = await readFile(join(here, 'page', 'index.html'), 'utf8');
const wanted = [...page.matchAll(pinned)];
if (wanted.length !== page.split('https://cdn.').length - 1) throw new Error('page/index.html names a file without a hash');
await empty(dist);
let local = page.replace(/<!--[^]*?-->\n/, '');
const notices = new Set();
for (const match of wanted) {
  const { file, notice } = await copy(match);
  notices.add(notice);
  local = local.replace(match[0], `/playground/assets/${file}" integrity="${match[4]}"`);
}
await writeFile(join(dist, 'licenses.txt'), [...notices].join('\n---\n\n'));
// Last, because the server embeds the folder only when this file is there.
await writeFile(join(dist, 'index.html'), local);
console.log(`${wanted.length} files in ${dist}`);
