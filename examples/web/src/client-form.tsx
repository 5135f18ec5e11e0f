import { useState } from 'react';
import { useFieldArray, useForm } from 'react-hook-form';
import { useMutation, useQuery } from 'urql';
import { Conflict } from './conflict';
import { LABELS, differences, fieldAt, newDocument, toDraft, toInput, type Draft } from './draft';
import { Field } from './field';
import { graphql, readFragment } from './gql';
import type { EditableClientFragment } from './gql/graphql';
import { NotShown } from './not-shown';
import { explain } from './problems';
import { linkTo } from './route';

const EditableClient = graphql(`
  fragment EditableClient on Client {
    encodedKey
    clientId
    version
    fullName
    firstName
    middleName
    lastName
    birthDate
    emailAddress
    mobilePhone1
    notes
    addresses { encodedKey line1 city postcode country }
    idDocuments { encodedKey documentType documentId issuingAuthority validUntil }
  }
`);

const EditQuery = graphql(`
  query EditClient($clientId: String!) {
    client(by: { clientId: $clientId }) { id ...EditableClient }
  }
`);

const SaveMutation = graphql(`
  mutation SaveClient($input: UpsertClientInput!) {
    upsertClient(input: $input) {
      client { id version }
      conflictingClient { id ...EditableClient }
      userErrors { message path }
    }
  }
`);

export function ClientForm({ clientId }: { clientId: string }) {
  const [{ data, fetching, error }] = useQuery({
    query: EditQuery,
    variables: { clientId },
    requestPolicy: 'network-only',
  });
  const client = readFragment(EditableClient, data?.client);
  if (client) return <Form loaded={client} />;
  return <NotShown clientId={clientId} fetching={fetching} error={error} />;
}

function Form({ loaded }: { loaded: EditableClientFragment }) {
  // The version that the form was opened with. A later answer of the query must not replace it unseen.
  const [base, setBase] = useState(loaded);
  const [expectedVersion, setExpectedVersion] = useState(loaded.version);
  const [conflict, setConflict] = useState<EditableClientFragment>();
  const [problems, setProblems] = useState<string[]>([]);
  const [, upsert] = useMutation(SaveMutation);
  const form = useForm<Draft>({ defaultValues: toDraft(base) });
  const documents = useFieldArray({ control: form.control, name: 'idDocuments' });

  async function save(draft: Draft, version: number): Promise<void> {
    setProblems([]);
    setExpectedVersion(version);
    const { client, ...lists } = toInput(draft, toDraft(base));
    const input = { client: { encodedKey: base.encodedKey, ...client }, ...lists, expectedVersion: version };
    const { data, error } = await upsert({ input });
    const payload = data?.upsertClient;
    if (payload?.client) {
      window.location.hash = linkTo(base.clientId);
      return;
    }
    const stored = readFragment(EditableClient, payload?.conflictingClient);
    setConflict(stored ?? undefined);
    if (stored) return;
    const elsewhere = error ? [explain(error)] : [];
    let shouldFocus = true;
    for (const { path, message } of payload?.userErrors ?? []) {
      const field = fieldAt(draft, path);
      if (field) form.setError(field, { message }, { shouldFocus });
      else elsewhere.push(message);
      shouldFocus &&= field === undefined;
    }
    setProblems(elsewhere);
  }

  function takeStored(stored: EditableClientFragment): void {
    setBase(stored);
    setExpectedVersion(stored.version);
    setConflict(undefined);
    form.reset(toDraft(stored));
  }

  return (
    <>
      <h1>Edit {base.fullName}</h1>
      {conflict && (
        <Conflict
          differences={differences(toDraft(base), toDraft(conflict), form.getValues())}
          onKeepMine={() => void form.handleSubmit((draft) => save(draft, conflict.version))()}
          onTakeStored={() => takeStored(conflict)}
        />
      )}
      <form noValidate onSubmit={(event) => void form.handleSubmit((draft) => save(draft, expectedVersion))(event)}>
        {problems.length > 0 && (
          <ul role="alert" className="error">
            {problems.map((problem) => <li key={problem}>{problem}</li>)}
          </ul>
        )}
        <Field form={form} path="client.firstName" label={LABELS.firstName} />
        <Field form={form} path="client.middleName" label={LABELS.middleName} />
        <Field form={form} path="client.lastName" label={LABELS.lastName} />
        <Field form={form} path="client.birthDate" label={LABELS.birthDate} type="date" />
        <Field form={form} path="client.emailAddress" label={LABELS.emailAddress} type="email" />
        <Field form={form} path="client.mobilePhone1" label={LABELS.mobilePhone1} type="tel" />
        <Field form={form} path="client.notes" label={LABELS.notes} type="notes" />
        <fieldset>
          <legend>Address</legend>
          <Field form={form} path="addresses.0.line1" label="Street and number" />
          <Field form={form} path="addresses.0.postcode" label="Postcode" />
          <Field form={form} path="addresses.0.city" label="City" />
          <Field form={form} path="addresses.0.country" label="Country" />
        </fieldset>
        {documents.fields.map(({ id }, index) => (
          <fieldset key={id}>
            <legend>Document {index + 1}</legend>
            <Field form={form} path={`idDocuments.${index}.documentType`} label="Type" />
            <Field form={form} path={`idDocuments.${index}.documentId`} label="Number" />
            <Field form={form} path={`idDocuments.${index}.issuingAuthority`} label="Issued by" />
            <Field form={form} path={`idDocuments.${index}.validUntil`} label="Valid until" type="date" />
            <button type="button" onClick={() => documents.remove(index)}>Remove document {index + 1}</button>
          </fieldset>
        ))}
        <button type="button" onClick={() => documents.append(newDocument())}>Add a document</button>
        <p>
          <button disabled={form.formState.isSubmitting || conflict !== undefined}>Save</button>{' '}
          <a href={linkTo(base.clientId)}>Cancel</a>
        </p>
      </form>
    </>
  );
}
