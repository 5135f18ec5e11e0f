// Finds the breaking changes of a schema that the changelog doesn't name.
import { readFileSync } from 'node:fs';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

// A change is named by its path, or by that of a part around it: `Query.clients.first`, `Query.clients.*`, `Query.*`.
function isNamed(path, changelog) {
  const parts = path.split('.');
  const around = parts.slice(1).map((_, length) => `${parts.slice(0, length + 1).join('.')}.*`);
  return [path, ...around].some((name) => changelog.includes(`\`${name}\``));
}

// `changelog` is what was written since the older schema.
export async function unnamed(older, newer, changelog) {
  const changes = await diff(buildSchema(older), buildSchema(newer));
  return changes
    .filter(({ criticality, path }) => criticality.level === CriticalityLevel.Breaking && !isNamed(path, changelog))
    .map(({ path, message }) => `\`${path}\`: ${message}`);
}

// The part of the changelog above the section of a version.
export function since(version, changelog) {
  const start = changelog.indexOf(`\n## [${version}]`);
  if (start < 0) throw new Error(`CHANGELOG.md has no section [${version}]`);
  return changelog.slice(0, start);
}

if (process.argv[1] === import.meta.filename) {
  const [older, newer, changelog, tag] = process.argv.slice(2);
  if (!tag) {
    console.error('usage: node breaking.mjs OLDER.graphql NEWER.graphql CHANGELOG.md TAG');
    process.exit(2);
  }
  const [before, after, log] = [older, newer, changelog].map((file) => readFileSync(file, 'utf8'));
  const missing = await unnamed(before, after, since(tag.replace(/^v/, ''), log));
  for (const change of missing) console.error(`CHANGELOG.md must name this breaking change since ${tag}: ${change}`);
  process.exitCode = missing.length === 0 ? 0 : 1;
}
