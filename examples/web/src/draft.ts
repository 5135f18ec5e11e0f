import type { FieldPathByValue } from 'react-hook-form';
import type { ClientInput, EditableClientFragment, UpsertClientInput } from './gql/graphql';

const CLIENT = ['firstName', 'middleName', 'lastName', 'birthDate', 'emailAddress', 'mobilePhone1', 'notes'] as const;
const ADDRESS = ['encodedKey', 'line1', 'city', 'postcode', 'country'] as const;
const DOCUMENT = ['encodedKey', 'documentType', 'documentId', 'issuingAuthority', 'validUntil'] as const;

type Texts<Member extends string> = Record<Member, string>;

/** The texts of the form, at the paths of `UpsertClientInput`: a user error names the field it belongs to. */
export interface Draft {
  client: Texts<(typeof CLIENT)[number]>;
  addresses: Texts<(typeof ADDRESS)[number]>[];
  idDocuments: Texts<(typeof DOCUMENT)[number]>[];
}

export type DraftPath = FieldPathByValue<Draft, string>;

export const LABELS: Texts<(typeof CLIENT)[number]> = {
  firstName: 'First name',
  middleName: 'Middle name',
  lastName: 'Last name',
  birthDate: 'Date of birth',
  emailAddress: 'E-mail address',
  mobilePhone1: 'Mobile phone',
  notes: 'Notes',
};

/** The members as texts; one that is missing or null is empty. */
function texts<Member extends string>(
  members: readonly Member[],
  values: Partial<Record<Member, string | null>> = {},
): Texts<Member> {
  return Object.fromEntries(members.map((member) => [member, values[member] ?? ''])) as Texts<Member>;
}

/** An empty text clears a stored value. */
function nulls<Member extends string>(values: Texts<Member>): Record<Member, string | null> {
  const entries = Object.entries<string>(values).map(([member, value]) => [member, value === '' ? null : value]);
  return Object.fromEntries(entries) as Record<Member, string | null>;
}

export function newDocument(): Draft['idDocuments'][number] {
  return texts(DOCUMENT);
}

export function toDraft(stored: EditableClientFragment): Draft {
  return {
    client: texts(CLIENT, stored),
    addresses: [texts(ADDRESS, stored.addresses[0])],
    idDocuments: stored.idDocuments.map((document) => texts(DOCUMENT, document)),
  };
}

/** What differs from the stored client. Everything else is left out and keeps its stored value. */
export function toInput(draft: Draft, stored: Draft): Pick<UpsertClientInput, 'client' | 'addresses' | 'idDocuments'> {
  const client: ClientInput = {};
  const sent = nulls(draft.client);
  for (const member of CLIENT) {
    if (draft.client[member] !== stored.client[member]) client[member] = sent[member];
  }
  const [before, after] = [parts(stored), parts(draft)];
  return {
    client,
    ...(before.Address !== after.Address && {
      addresses: after.Address === '' ? [] : draft.addresses.map(nulls),
    }),
    ...(before.Documents !== after.Documents && { idDocuments: draft.idDocuments.map(nulls) }),
  };
}

/** The values as a person reads them, by their labels. */
function parts({ client, addresses, idDocuments }: Draft) {
  const line = (entry: Record<string, string>) =>
    Object.keys(entry)
      .filter((member) => member !== 'encodedKey' && entry[member] !== '')
      .map((member) => entry[member])
      .join(', ');
  return {
    ...Object.fromEntries(CLIENT.map((member) => [LABELS[member], client[member]])),
    Address: addresses.map(line).join('; '),
    Documents: idDocuments.map(line).join('; '),
  };
}

export interface Difference {
  label: string;
  before: string;
  stored: string;
  mine: string;
}

/** What another writer has changed between `before` and `stored`. */
export function differences(before: Draft, stored: Draft, mine: Draft): Difference[] {
  const [was, is, draft] = [before, stored, mine].map((version) => new Map(Object.entries(parts(version))));
  return [...(is ?? [])].flatMap(([label, text]) => {
    const difference = { label, before: was?.get(label) ?? '', stored: text, mine: draft?.get(label) ?? '' };
    return difference.before === text ? [] : [difference];
  });
}

/** The field at the path of a user error, if the form has one. The path begins with the argument, `input`. */
export function fieldAt(draft: Draft, path: readonly string[]): DraftPath | undefined {
  const inside = path.slice(1);
  if (inside.at(-1) === 'encodedKey') return undefined;
  const value = inside.reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], draft);
  return typeof value === 'string' ? (inside.join('.') as DraftPath) : undefined;
}
