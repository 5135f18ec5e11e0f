import { useEffect, useRef } from 'react';
import type { Difference } from './draft';

interface Props {
  differences: Difference[];
  onKeepMine: () => void;
  onTakeStored: () => void;
}

/** Shows the changes that were stored since the form was opened, and asks whose values to keep. */
export function Conflict({ differences, onKeepMine, onTakeStored }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus();
  }, []);
  return (
    <section aria-labelledby="conflict" className="conflict">
      <h2 id="conflict" ref={heading} tabIndex={-1}>Somebody else has changed this client</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Changed</th>
            <th scope="col">Before</th>
            <th scope="col">Stored now</th>
            <th scope="col">Yours</th>
          </tr>
        </thead>
        <tbody>
          {differences.map(({ label, before, stored, mine }) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td>{before}</td>
              <td>{stored}</td>
              <td>{mine === before ? 'not changed' : mine}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>Your changes replace stored values only in the fields that you have changed.</p>
      <button type="button" onClick={onKeepMine}>Store my changes</button>
      <button type="button" onClick={onTakeStored}>Take the stored client</button>
    </section>
  );
}
