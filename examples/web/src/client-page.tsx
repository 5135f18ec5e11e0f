import type { ReactNode } from 'react';
import { useQuery } from 'urql';
import { graphql } from './gql';
import { NotShown } from './not-shown';
import { explainField } from './problems';
import { linkTo } from './route';

const ClientQuery = graphql(`
  query Client($clientId: String!) {
    client(by: { clientId: $clientId }) {
      id
      clientId
      fullName
      state
      birthDate
      gender
      emailAddress
      homePhone
      mobilePhone1
      mobilePhone2
      preferredLanguage
      notes
      createdAt
      updatedAt
      version
      clientRole { id name }
      addresses { id line1 line2 postcode city region country }
      idDocuments { id documentType documentId issuingAuthority validUntil }
      customInformation { id field { id name set { id name } } groupIndex value linkedClient { id clientId fullName } }
      messages(first: 5) { nodes { id createdAt channel subject state } pageInfo { hasNextPage } }
      history(first: 5) { nodes { id at action caller { name } } pageInfo { hasNextPage } }
    }
  }
`);

export function ClientPage({ clientId }: { clientId: string }) {
  const [{ data, fetching, error }] = useQuery({
    query: ClientQuery,
    variables: { clientId },
    requestPolicy: 'cache-and-network',
  });
  const client = data?.client;
  if (!client) return <NotShown clientId={clientId} fetching={fetching} error={error} />;
  return (
    <article>
      <h1>{client.fullName}</h1>
      <p><a href={linkTo(clientId, true)}>Edit</a></p>
      <dl>
        <Detail name="ID">{client.clientId}</Detail>
        <Detail name="State">{client.state}</Detail>
        <Detail name="Role">{client.clientRole.name}</Detail>
        <Detail name="Date of birth">{client.birthDate}</Detail>
        <Detail name="Gender">{client.gender}</Detail>
        <Detail name="E-mail address">{client.emailAddress}</Detail>
        <Detail name="Home phone">{client.homePhone}</Detail>
        <Detail name="Mobile phone">{client.mobilePhone1}</Detail>
        <Detail name="Second mobile phone">{client.mobilePhone2}</Detail>
        <Detail name="Language">{client.preferredLanguage}</Detail>
        <Detail name="Notes">{client.notes}</Detail>
        <Detail name="Created">{time(client.createdAt)}</Detail>
        <Detail name="Changed">{time(client.updatedAt)}</Detail>
        <Detail name="Version">{client.version}</Detail>
      </dl>
      <Section title="Address">
        {client.addresses.map(({ id, line1, line2, postcode, city, region, country }) => (
          <li key={id}>{[line1, line2, postcode, city, region, country].filter(Boolean).join(', ')}</li>
        ))}
      </Section>
      <Section title="Identification documents">
        {client.idDocuments.map(({ id, documentType, documentId, issuingAuthority, validUntil }) => (
          <li key={id}>
            {documentType} {documentId}
            {issuingAuthority != null && `, ${issuingAuthority}`}
            {validUntil != null && `, valid until ${validUntil}`}
          </li>
        ))}
      </Section>
      <Section title="Custom fields">
        {client.customInformation.map(({ id, field, groupIndex, value, linkedClient }) => (
          <li key={id}>
            {field.set.name}
            {groupIndex != null && ` ${groupIndex + 1}`}, {field.name}:{' '}
            {linkedClient ? <a href={linkTo(linkedClient.clientId)}>{linkedClient.fullName}</a> : value}
          </li>
        ))}
      </Section>
      <Section title="Messages" problem={explainField(error, 'client', 'messages')}>
        {client.messages?.nodes.map(({ id, createdAt, channel, subject, state }) => (
          <li key={id}>{[time(createdAt), channel, subject, state].filter(Boolean).join(', ')}</li>
        ))}
      </Section>
      <Section title="History" problem={explainField(error, 'client', 'history')}>
        {client.history?.nodes.map(({ id, at, action, caller }) => (
          <li key={id}>{time(at)}, {action} by {caller.name}</li>
        ))}
      </Section>
    </article>
  );
}

function time(instant: string): string {
  return new Date(instant).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}

function Detail({ name, children }: { name: string; children: ReactNode }) {
  return children == null ? null : (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface SectionProps {
  title: string;
  /** The server answers null, with an error, for a part that failed. The rest is shown. */
  problem?: string | undefined;
  children: ReactNode[] | undefined;
}

function Section({ title, problem = 'None.', children = [] }: SectionProps) {
  return (
    <section>
      <h2>{title}</h2>
      {children.length > 0 ? <ul>{children}</ul> : <p>{problem}</p>}
    </section>
  );
}
