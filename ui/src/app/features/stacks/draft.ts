import { ConfigRow, configOf, rowsOf } from './config-row';
import { declaredConfig } from './editor/yaml-place';
import { Stack } from './stack';

/** A stack as it is edited. */
export interface Draft {
  name: string;
  description: string;
  compartment_id: string;
  program: string;
  rows: readonly ConfigRow[];
}

/** The draft that says the same as a stack. */
export function draftOf(stack: Stack): Draft {
  const { name, description, program, config, compartment_id = '' } = stack;
  return { name, description, compartment_id, program, rows: rowsOf(config) };
}

/** The body that saves a draft over a version of a stack. */
export function bodyOf(draft: Draft, stack: Stack): Record<string, unknown> {
  const { name, description, compartment_id, program, rows } = draft;
  const config = configOf(rows, declaredConfig(program));
  return { name: name.trim(), description, program, config, connection_id: stack.connection_id, ...placed(compartment_id), version: stack.version };
}

/** Whether saving the draft would change the stack. */
export function differs(draft: Draft, stack: Stack): boolean {
  return JSON.stringify(bodyOf(draft, stack)) !== JSON.stringify(bodyOf(draftOf(stack), stack));
}

/** The member of a body that says where a stack lies; left out, it lies in no compartment. */
export function placed(compartment_id: string): { compartment_id?: string } {
  return compartment_id ? { compartment_id } : {};
}
