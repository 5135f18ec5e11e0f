import { useId } from 'react';
import type { UseFormReturn } from 'react-hook-form';
import type { Draft, DraftPath } from './draft';

interface Props {
  form: UseFormReturn<Draft>;
  path: DraftPath;
  label: string;
  type?: 'text' | 'date' | 'email' | 'tel' | 'notes';
}

/** A field with its label and, below it, what the server says about its value. */
export function Field({ form, path, label, type = 'text' }: Props) {
  const id = useId();
  const { error } = form.getFieldState(path, form.formState);
  const attributes = {
    id,
    'aria-invalid': error !== undefined,
    'aria-describedby': error && `${id}-error`,
    ...form.register(path),
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {type === 'notes' ? <textarea rows={3} {...attributes} /> : <input type={type} {...attributes} />}
      {error && <p id={`${id}-error`} className="error">{error.message}</p>}
    </div>
  );
}
