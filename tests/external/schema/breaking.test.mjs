import assert from 'node:assert/strict';
import { test } from 'node:test';
import { since, unnamed } from './breaking.mjs';

const OLDER = `
  type Query { client(id: ID!): Client!  viewer: String! }
  type Client { name: String!  nickname: String }
  input ClientInput { name: String }
`;
const NEWER = `
  type Query { client(id: ID!): Client  viewer: String }
  type Client { name: String!  fullName: String! }
  input ClientInput { name: String  city: String! }
`;

const paths = (changes) => changes.map((change) => change.split(':')[0]).sort();

test('breaking_changes_are_listed', async () => {
  assert.deepEqual(paths(await unnamed(OLDER, NEWER, '')), [
    '`Client.nickname`', '`ClientInput.city`', '`Query.client`', '`Query.viewer`',
  ]);
});

test('the_other_direction_breaks_other_callers', async () => {
  assert.deepEqual(paths(await unnamed(NEWER, OLDER, '')), ['`Client.fullName`', '`ClientInput.city`']);
});

test('named_changes_pass', async () => {
  const changelog = '- `Query.*` can be null, `Client.nickname` is gone, `ClientInput.city` is required.';
  assert.deepEqual(await unnamed(OLDER, NEWER, changelog), []);
  const other = changelog.replace('nickname', 'nicknames');
  assert.deepEqual(paths(await unnamed(OLDER, NEWER, other)), ['`Client.nickname`']);
});

test('harmless_changes_need_no_line', async () => {
  assert.deepEqual(await unnamed('type Query { a: Int }', 'type Query { a: Int!  b: Int }', ''), []);
});

test('only_newer_sections_count', () => {
  const changelog = '# Changelog\n\n## [Unreleased]\n\nnew\n\n## [1.1.0]\n\nolder\n\n## [1.0.0]\n\noldest\n';
  assert.equal(since('1.1.0', changelog), '# Changelog\n\n## [Unreleased]\n\nnew\n');
  assert.match(since('1.0.0', changelog), /older\n$/);
  assert.throws(() => since('0.9.0', changelog), /no section \[0\.9\.0\]/);
});
