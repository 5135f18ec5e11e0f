import { useState } from 'react';
import { signIn, type Session } from './session';

interface Props {
  notice: string | undefined;
  onSignedIn: (session: Session) => void;
}

export function SignIn({ notice, onSignedIn }: Props) {
  const [problem, setProblem] = useState(notice);
  const [isPending, setIsPending] = useState(false);

  async function submit(form: FormData): Promise<void> {
    setIsPending(true);
    const outcome = await signIn(text(form, 'name'), text(form, 'password'));
    if (typeof outcome !== 'string') {
      onSignedIn(outcome);
      return;
    }
    setProblem(outcome);
    setIsPending(false);
  }

  return (
    <main>
      <h1>Sign in</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        {problem !== undefined && <p role="alert" className="error">{problem}</p>}
        <div className="field">
          <label htmlFor="name">Name</label>
          <input id="name" name="name" autoComplete="username" required />
        </div>
        <div className="field">
          <label htmlFor="password">Password</label>
          <input id="password" name="password" type="password" autoComplete="current-password" required />
        </div>
        <button disabled={isPending}>Sign in</button>
      </form>
    </main>
  );
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === 'string' ? value : '';
}
