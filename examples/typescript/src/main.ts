import { randomUUID } from 'node:crypto';
import { request } from './api.js';
import { graphql } from './gql/index.js';
import type { UpsertClientInput } from './gql/graphql.js';

const Upsert = graphql(`
  mutation UpsertClient($input: UpsertClientInput!) {
    upsertClient(input: $input) {
      created
      client { clientId version fullName }
      userErrors { code message path }
    }
  }
`);

const Clients = graphql(`
  query Clients($after: String) {
    clients(first: 2, after: $after) {
      nodes { clientId fullName addresses { city } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

async function upsert(input: UpsertClientInput): Promise<void> {
  const { upsertClient } = await request(Upsert, { input });
  for (const { code, path, message } of upsertClient?.userErrors ?? []) {
    console.log(`${code} at ${path.join('.')}: ${message}`);
  }
  if (upsertClient?.client) {
    const { clientId, version, fullName } = upsertClient.client;
    console.log(`${upsertClient.created ? 'created' : 'kept'} ${clientId}, ${fullName}, version ${version}`);
  }
}

async function* clients() {
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof readPage>> = await readPage(after);
    yield* page?.nodes ?? [];
    after = page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after !== null);
}

async function readPage(after: string | null) {
  return (await request(Clients, { after })).clients;
}

const ines: UpsertClientInput = {
  // A key for each intended change, kept until its answer has arrived: a repetition can't carry it out twice.
  idempotencyKey: randomUUID(),
  client: { clientId: 'EX-1', firstName: 'Ines', lastName: 'Okafor', emailAddress: 'ines@example.test' },
  addresses: [{ line1: '1 Test Lane', city: 'Exampleton' }],
};
await upsert(ines);
await upsert(ines);

// All problems of an input are reported at once, and nothing is stored.
await upsert({ client: { firstName: ' ', lastName: 'Okafor' }, idDocuments: [{ documentType: 'Passport' }] });

// By a client's own ID, an upsert creates what isn't there and changes nothing that is the same.
for (const [clientId, firstName] of [['EX-2', 'Trevor'], ['EX-3', 'Ana'], ['EX-2', 'Trevor']] as const) {
  await upsert({ matchOn: 'CLIENT_ID', client: { clientId, firstName, lastName: 'Linden' } });
}

for await (const { clientId, fullName, addresses } of clients()) {
  console.log([clientId, fullName, ...addresses.map(({ city }) => city)].join(', '));
}
