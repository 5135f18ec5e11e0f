import { useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { graphql, readFragment, type FragmentType } from './gql';
import { explain } from './problems';
import { linkTo } from './route';

const ClientRow = graphql(`
  fragment ClientRow on Client {
    clientId
    fullName
    state
    emailAddress
    addresses { city }
  }
`);

const ClientsQuery = graphql(`
  query Clients($search: String, $orderBy: ClientOrder, $after: String, $isFirst: Boolean!) {
    clients(search: $search, orderBy: $orderBy, first: 25, after: $after) {
      nodes { id ...ClientRow }
      pageInfo { hasNextPage endCursor }
      totalCount @include(if: $isFirst)
      totalCountPrecision @include(if: $isFirst)
    }
  }
`);

const COLUMNS = ['Name', 'ID', 'State', 'E-mail address', 'City'];
const SEARCH_DELAY_MS = 250;

export function ClientList() {
  const [typed, setTyped] = useState('');
  const [search, setSearch] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setSearch(typed.trim()), SEARCH_DELAY_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  return (
    <>
      <h1>Clients</h1>
      <label htmlFor="search">Search by name, number or e-mail address</label>
      <input
        id="search"
        type="search"
        maxLength={200}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <Pages key={search} search={search} />
    </>
  );
}

function useClientPage(search: string, after: string | null) {
  // A search has its own order: the best matches first.
  const order = search === '' ? { orderBy: { field: 'NAME', direction: 'ASC' } as const } : { search };
  return useQuery({ query: ClientsQuery, variables: { ...order, after, isFirst: after === null } });
}

/** All pages that were asked for, one below the other. Each is a query of its own, which the cache keeps. */
function Pages({ search }: { search: string }) {
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const [{ data }] = useClientPage(search, null);
  const clients = data?.clients;
  return (
    <table>
      <caption aria-live="polite">
        {clients?.totalCountPrecision === 'AT_LEAST' && 'at least '}
        {clients?.totalCount === 1 ? '1 client' : clients && `${clients.totalCount?.toLocaleString('en')} clients`}
      </caption>
      <thead>
        <tr>
          {COLUMNS.map((name) => <th key={name} scope="col">{name}</th>)}
        </tr>
      </thead>
      {cursors.map((after, index) => (
        <ClientRows
          key={after}
          search={search}
          after={after}
          onMore={index === cursors.length - 1 ? (cursor) => setCursors([...cursors, cursor]) : undefined}
        />
      ))}
    </table>
  );
}

interface RowsProps {
  search: string;
  after: string | null;
  /** Undefined if the next page is shown already. */
  onMore: ((cursor: string) => void) | undefined;
}

function ClientRows({ search, after, onMore }: RowsProps) {
  const [{ data, fetching, error }] = useClientPage(search, after);
  const clients = data?.clients;
  const next = clients?.pageInfo.hasNextPage === true ? clients.pageInfo.endCursor : null;
  return (
    <tbody aria-busy={fetching}>
      {clients?.nodes.map((client) => <Row key={client.id} client={client} />)}
      {(error !== undefined || fetching || (onMore && next != null)) && (
        <tr>
          <td colSpan={COLUMNS.length}>
            {error && <p role="alert" className="error">{explain(error)}</p>}
            {fetching && 'Loading…'}
            {onMore && next != null && <MoreButton onMore={() => onMore(next)} />}
          </td>
        </tr>
      )}
    </tbody>
  );
}

/** Loads the next page when it is scrolled into view, or when its button is pressed. */
function MoreButton({ onMore }: { onMore: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) onMore();
    });
    if (button.current) observer.observe(button.current);
    return () => observer.disconnect();
  }, [onMore]);
  return <button ref={button} type="button" onClick={onMore}>Load more clients</button>;
}

function Row({ client }: { client: FragmentType<typeof ClientRow> }) {
  const { clientId, fullName, state, emailAddress, addresses } = readFragment(ClientRow, client);
  return (
    <tr>
      <th scope="row"><a href={linkTo(clientId)}>{fullName}</a></th>
      <td>{clientId}</td>
      <td>{state}</td>
      <td>{emailAddress}</td>
      <td>{addresses[0]?.city}</td>
    </tr>
  );
}
