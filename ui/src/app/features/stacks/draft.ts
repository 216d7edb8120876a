import { ConfigRow, configOf, rowsOf } from './config-row';
import { declaredConfig } from './editor/yaml-place';
import { Stack } from './stack';

/** A stack as it is edited. */
export interface Draft {
  name: string;
  description: string;
  program: string;
  rows: readonly ConfigRow[];
}

/** The draft that says the same as a stack. */
export function draftOf(stack: Stack): Draft {
  const { name, description, program, config } = stack;
  return { name, description, program, rows: rowsOf(config) };
}

/** The body that saves a draft over a version of a stack. */
export function bodyOf(draft: Draft, stack: Stack): Record<string, unknown> {
  const { name, description, program, rows } = draft;
  const config = configOf(rows, declaredConfig(program));
  return { name: name.trim(), description, program, config, connection_id: stack.connection_id, version: stack.version };
}

/** Whether saving the draft would change the stack. */
export function differs(draft: Draft, stack: Stack): boolean {
  return JSON.stringify(bodyOf(draft, stack)) !== JSON.stringify(bodyOf(draftOf(stack), stack));
}
