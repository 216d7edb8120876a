import { Tone } from '@core/page/badge';

/** What stands for a secret in every answer; sent back, it keeps the secret. */
export const mask = '••••••';

/** One value of a stack's configuration: text, a number, a boolean, a list or a map. */
export interface ConfigValue {
  value: unknown;
  secret: boolean;
}

/** What became of a stack. */
export type StackStatus = 'empty' | 'deployed' | 'failed' | 'destroyed' | 'busy';

/** A program with its configuration, for one cluster. */
export interface Stack {
  id: string;
  name: string;
  description: string;
  connection_id: string;
  /** Where it lies; empty for no compartment. */
  compartment_id?: string;
  program: string;
  config: Record<string, ConfigValue>;
  status: StackStatus;
  outputs: Record<string, unknown>;
  resource_count: number;
  last_deployment_id: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A value that a template asks for. */
export interface Parameter {
  name: string;
  title: string;
  type: 'string' | 'integer' | 'number' | 'boolean';
  default: unknown;
  required: boolean;
  description: string;
  secret: boolean;
}

/** A program to begin a stack with. */
export interface Template {
  name: string;
  title: string;
  description: string;
  program: string;
  parameters: Parameter[];
}

/** Something the server says about a program; line and column count from 1. */
export interface ProgramDiagnostic {
  severity: 'error' | 'warning' | 'info';
  line: number;
  column: number;
  message: string;
}

/** An input of a resource or of an object inside one. */
export interface SchemaProperty {
  name: string;
  /** `string`, `list<token>`, `map<string>` or the name of an object in `types`. */
  type: string;
  required: boolean;
  description: string;
}

/** A type of resource that a program can use. */
export interface SchemaResource {
  token: string;
  description: string;
  properties: SchemaProperty[];
}

/** What a program can be made of. */
export interface Schema {
  resources: SchemaResource[];
  types?: Record<string, SchemaProperty[]>;
}

/** The colour and the word of a stack's status. */
export function stackState(status: StackStatus): { tone: Tone; word: string } {
  switch (status) {
    case 'empty':
      return { tone: 'plain', word: $localize`Not deployed` };
    case 'deployed':
      return { tone: 'good', word: $localize`Deployed` };
    case 'failed':
      return { tone: 'bad', word: $localize`Failed` };
    case 'destroyed':
      return { tone: 'plain', word: $localize`Destroyed` };
    case 'busy':
      return { tone: 'busy', word: $localize`Deploying` };
  }
}
