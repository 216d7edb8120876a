/** Something that a condition can ask about. */
export interface ConditionName {
  name: string;
  type: string;
  description: string;
  example: string;
}

/** Something that a condition can call. */
export interface ConditionFunction {
  name: string;
  description: string;
  example: string;
}

/** What conditions can say, as the server tells it. */
export interface ConditionWords {
  names?: ConditionName[] | null;
  /** The names in an answer that is a list. */
  items?: ConditionName[] | null;
  functions?: ConditionFunction[] | null;
}

/** One word that is offered while typing. */
export interface Offer {
  label: string;
  /** What is written; the label when left out. */
  apply?: string;
  type: 'variable' | 'function' | 'keyword';
  detail: string;
  info: string;
}

const constants = ['true', 'false', 'null'];

/**
 * What can stand at the cursor: names by the part that is typed, so that
 * `resource.` offers what a resource has, then functions and constants.
 */
export function offers(words: ConditionWords | null, typed: string): Offer[] {
  const names = words?.names ?? words?.items ?? [];
  const known = names
    .filter((one) => one.name.startsWith(typed))
    .map((one): Offer => ({ label: one.name, type: 'variable', detail: one.type, info: `${one.description}\n${one.example}` }));
  const dot = typed.lastIndexOf('.');
  const rest = typed.slice(dot + 1);
  const called = (words?.functions ?? [])
    .flatMap((one) => one.name.split(/,\s*/).map((name) => ({ ...one, name })))
    .filter((one) => one.name.startsWith(rest) && one.name !== 'in' && isMethod(one) === dot >= 0)
    .map((one): Offer => ({
      label: `${typed.slice(0, dot + 1)}${one.name}`,
      apply: `${typed.slice(0, dot + 1)}${one.name}(`,
      type: 'function',
      detail: '',
      info: `${one.description}\n${one.example}`,
    }));
  const fixed = dot < 0 ? constants.filter((one) => one.startsWith(typed)) : [];
  return [...known, ...called, ...fixed.map((label): Offer => ({ label, type: 'keyword', detail: '', info: '' }))];
}

// isMethod tells by its example whether a function is called on a value. The
// others of its line are like it.
function isMethod({ name, example }: ConditionFunction): boolean {
  return example.includes(`.${name}(`) || (!example.includes(`${name}(`) && /\w\.\w+\(/.test(example));
}
