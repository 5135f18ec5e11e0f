// Fills dist/ with the files of the page at /playground: the page and its examples, the editor from the npm packages in
// package-lock.json, and the documentation as HTML. No bundler: the packages ship files that a browser can use.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Marked } from 'marked';

const here = import.meta.dirname;
const dist = join(here, 'dist');
const packages = {
  'react.js': ['react', 'umd/react.production.min.js'],
  'react-dom.js': ['react-dom', 'umd/react-dom.production.min.js'],
  'graphiql.js': ['graphiql', 'graphiql.min.js'],
  'graphiql.css': ['graphiql', 'graphiql.min.css'],
};
const read = (...path) => readFile(join(here, ...path), 'utf8');
const list = async (folder, extension) =>
  (await readdir(join(here, folder))).filter((name) => extname(name) === extension).sort();

// With a hash in their names, browsers can keep files for ever.
const assets = new Map();
async function asset(name, content) {
  const extension = extname(name);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12);
  const file = `${name.slice(0, -extension.length)}-${hash}${extension}`;
  assets.set(name, file);
  await writeFile(join(dist, file), content);
}
const page = (name, html) =>
  writeFile(join(dist, name), html.replace(/"\/playground\/assets\/([\w.-]+)"/g, (reference, asset) => {
    const isPage = extname(asset) === '.html';
    if (!isPage && !assets.has(asset)) throw new Error(`${name} names the file ${asset}, which doesn't exist`);
    return isPage ? reference : `"/playground/assets/${assets.get(asset)}"`;
  }));

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) if (name !== '.gitignore') await rm(join(dist, name), { recursive: true });

const notices = new Set();
for (const [file, [name, path]] of Object.entries(packages)) {
  await asset(file, await read('node_modules', name, path));
  const { version } = JSON.parse(await read('node_modules', name, 'package.json'));
  notices.add(`${name} ${version}\n\n${await read('node_modules', name, 'LICENSE')}`);
}
await writeFile(join(dist, 'licenses.txt'), [...notices].join('\n---\n\n'));

const examples = [];
for (const name of await list('examples', '.graphql')) examples.push(await read('examples', name));
await asset('examples.js', `'use strict';\nconst examples = ${JSON.stringify(examples)};\n`);
for (const name of ['page.css', 'start.js']) await asset(name, await read('page', name));

// docs/upsert.md is docs-upsert.html. Files that aren't documentation are named without a link.
const documents = await list('../docs', '.md');
function target(href) {
  const [file, anchor] = href.split('#');
  if (/^https?:/.test(href) || file === '') return href;
  if (file.endsWith('schema.graphql')) return '/playground#schema';
  if (file.endsWith('openapi.json')) return '/api/docs';
  return documents.includes(file) ? `docs-${file.replace('.md', '.html')}${anchor ? `#${anchor}` : ''}` : null;
}
const identifier = (title) => title.toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-');
const marked = new Marked({
  renderer: {
    heading({ tokens, depth, text }) {
      return `<h${depth} id="${identifier(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
    },
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      const url = target(href);
      return url ? `<a href="${url}">${text}</a>` : text;
    },
  },
});
const frame = await read('page', 'docs.html');
const pages = documents.map((name) => name.replace('.md', ''));
const links = pages.map((name) => `<a href="/playground/assets/docs-${name}.html">${name}</a>`).join(' ');
for (const name of pages) {
  const text = await read('../docs', `${name}.md`);
  const title = text.match(/^# (.*)/)[1];
  const filled = { TITLE: title, PAGES: links, CONTENT: marked.parse(text) };
  await page(`docs-${name}.html`, frame.replace(/\b(TITLE|PAGES|CONTENT)\b/g, (word) => filled[word]));
}
// Last, because the server takes the folder only when this file is there.
await page('index.html', await read('page', 'index.html'));
console.log(`${(await readdir(dist)).length - 1} files in ${dist}`);
