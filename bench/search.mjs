// node bench/search.mjs URL [ROUNDS]
//
// Measures searches by words against reads of one client by its key, in turns in one run. The server must run without
// authentication on a database that bench/search.sql has filled: see bench/search.

const [url, rounds = "30"] = process.argv.slice(2);

async function ask(query, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const body = await response.json();
  if (body.errors) throw new Error(JSON.stringify(body.errors));
  return body.data;
}

const NODES = "nodes { clientId firstName lastName }";
const SEARCH = `query($search: String) { clients(search: $search, first: 20) { ${NODES} } }`;
const FILTER = 'filter: { assignedBranchKey: "branch7" }';
const FILTERED = `query($search: String) { clients(search: $search, first: 20, ${FILTER}) { ${NODES} } }`;
const BY_KEY = "query($key: String!) { client(by: { encodedKey: $key }) { clientId firstName lastName } }";

const sample = await ask(`{ clients(first: 500) { nodes {
  encodedKey clientId firstName lastName emailAddress mobilePhone1 idDocuments { documentId } } } }`);
const clients = sample.clients.nodes;
function common(name) {
  const counts = new Map();
  for (const client of clients) counts.set(client[name], (counts.get(client[name]) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0][0];
}
const long = clients.filter((client) => client.lastName.length >= 7);
const wrong = (name) => `${name.slice(0, 4)}q${name.slice(5)}`;
const names = (client) => `${client.firstName} ${client.lastName}`;
const pick = (list, round) => list[(round * 7) % list.length];

const kinds = {
  "client by key": [BY_KEY, (round) => ({ key: pick(clients, round).encodedKey })],
  "whole id": [SEARCH, (round) => ({ search: pick(clients, round).clientId })],
  "e-mail address": [SEARCH, (round) => ({ search: pick(clients, round).emailAddress })],
  "document number": [SEARCH, (round) => ({ search: pick(clients, round).idDocuments[0].documentId })],
  "last 5 digits of a phone": [SEARCH, (round) => ({ search: pick(clients, round).mobilePhone1.slice(-5) })],
  "last name": [SEARCH, (round) => ({ search: pick(clients, round).lastName })],
  "most common last name": [SEARCH, () => ({ search: common("lastName") })],
  "most common first name": [SEARCH, () => ({ search: common("firstName") })],
  "first and last name": [SEARCH, (round) => ({ search: names(pick(clients, round)) })],
  "most common names": [SEARCH, () => ({ search: `${common("firstName")} ${common("lastName")}` })],
  "name with a wrong letter": [SEARCH, (round) => ({ search: wrong(pick(long, round).lastName) })],
  "three letters": [SEARCH, (round) => ({ search: pick(clients, round).lastName.slice(1, 4) })],
  "two letters": [SEARCH, (round) => ({ search: pick(clients, round).lastName.slice(0, 2) })],
  "last name in a branch": [FILTERED, (round) => ({ search: pick(clients, round).lastName })],
  "nothing": [SEARCH, (round) => ({ search: `zqxw${round}vjk` })],
};

const times = Object.fromEntries(Object.keys(kinds).map((name) => [name, []]));
for (let round = 0; round < Number(rounds); round += 1) {
  for (const [name, [query, variables]] of Object.entries(kinds)) {
    const sent = variables(round);
    const begun = performance.now();
    await ask(query, sent);
    // The first rounds fill caches.
    if (round >= 3) times[name].push(performance.now() - begun);
  }
}
const at = (list, share) => [...list].sort((a, b) => a - b)[Math.floor((list.length - 1) * share)];
const shown = (number, width) => number.toFixed(1).padStart(width);
const base = at(times["client by key"], 0.5);
for (const [name, list] of Object.entries(times)) {
  const [half, most] = [at(list, 0.5), at(list, 0.95)];
  const ratio = shown(half / base, 6);
  const columns = [name.padEnd(26), `median ${shown(half, 7)} ms`, `95 % ${shown(most, 7)} ms`];
  console.log(`${columns.join(", ")}, ${ratio} times a read by key`);
}
