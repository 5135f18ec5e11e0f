// Runs the audits of the GraphQL-over-HTTP specification against a server: node audits.mjs http://127.0.0.1:8080/graphql
// With CLIENTELE_AUTHORIZATION set, every request has it as its header Authorization.
// Prints one line for each that isn't ok. Ends with 0 only when all are ok, and when there are as many as when this was
// written: an update that brings fewer should be looked at.
import { serverAudits } from 'graphql-http';

const EXPECTED = 61;
const url = process.argv[2];
if (!url) {
  console.error('usage: node audits.mjs URL');
  process.exit(2);
}

const authorization = process.env.CLIENTELE_AUTHORIZATION;
const fetchFn = (address, init = {}) => fetch(address, {
  ...init,
  headers: { ...init.headers, ...(authorization && { authorization }) },
});
const audits = serverAudits({ url, fetchFn });
let ok = 0;
for (const audit of audits) {
  const result = await audit.fn();
  if (result.status === 'ok') ok += 1;
  else console.log(`${result.status} ${audit.id} ${audit.name}: ${result.reason}`);
}
console.log(`graphql-http audits: ${ok} of ${audits.length} ok`);
process.exitCode = ok === EXPECTED && audits.length === EXPECTED ? 0 : 1;
