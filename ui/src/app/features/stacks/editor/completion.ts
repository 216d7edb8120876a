import { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';

import { Schema, SchemaProperty } from '../stack';
import { Place, keysUnder, placeAt } from './yaml-place';

const topLevel: readonly [string, string][] = [
  ['name', $localize`Name of the program`],
  ['runtime', $localize`Always yaml`],
  ['description', $localize`What it is for`],
  ['config', $localize`Values that are set outside of the program`],
  ['variables', $localize`Values that are worked out once and used often`],
  ['resources', $localize`What is to exist`],
  ['outputs', $localize`What is shown after a run`],
];
const ofResource: readonly [string, string][] = [
  ['type', $localize`What kind of resource`],
  ['properties', $localize`What it is to be like`],
  ['options', $localize`How it is treated: order, protection`],
];
const ofOptions: readonly [string, string][] = [
  ['dependsOn', $localize`Resources that have to be there before`],
  ['protect', $localize`Refuses to delete it`],
  ['ignoreChanges', $localize`Properties that may differ`],
  ['deleteBeforeReplace', $localize`Removes the old one first`],
  ['replaceOnChanges', $localize`Properties whose change makes it anew`],
];
const ofConfig: readonly [string, string][] = [
  ['type', $localize`string, integer, number or boolean`],
  ['default', $localize`Taken when no value is set`],
  ['secret', $localize`Kept encrypted and never shown`],
];

/** Completes types, property names, references and keywords; `schema` may still be null. */
export function complete(schema: () => Schema | null): (context: CompletionContext) => CompletionResult | null {
  return (context) => {
    const reference = context.matchBefore(/\$\{[\w.-]*/);
    const lines = context.state.doc.toString().split('\n');
    if (reference) return { from: reference.from + 2, options: references(lines), validFor: /^[\w.-]*$/ };
    const line = context.state.doc.lineAt(context.pos);
    const place = placeAt(lines, line.number - 1, context.pos - line.from);
    if (!context.explicit && place.key === null && place.typed === '') return null;
    const options = place.key === null ? keys(schema(), lines, place) : values(schema(), lines, place);
    if (options.length === 0) return null;
    return { from: context.pos - place.typed.length, options, validFor: /^[\w.:/-]*$/ };
  };
}

function references(lines: readonly string[]): Completion[] {
  const all = (part: string, type: string): Completion[] =>
    [...keysUnder(lines, [part]).keys()].map((label) => ({ label, type, detail: part }));
  return [...all('resources', 'class'), ...all('variables', 'variable'), ...all('config', 'constant')];
}

function keys(schema: Schema | null, lines: readonly string[], { path }: Place): Completion[] {
  if (path.length === 0) return words(topLevel);
  if (path[0] === 'config' && path.length === 2) return words(ofConfig);
  if (path[0] !== 'resources') return [];
  if (path.length === 2) return words(ofResource);
  if (path.length === 3 && path[2] === 'options') return words(ofOptions);
  return properties(schema, lines, path).map((property) => ({
    label: property.name,
    apply: `${property.name}: `,
    type: 'property',
    detail: shortType(property.type) + (property.required ? ' *' : ''),
    boost: property.required ? 10 : 0,
    ...(property.description ? { info: property.description } : {}),
  }));
}

function values(schema: Schema | null, lines: readonly string[], { path, key }: Place): Completion[] {
  if (path.length === 0 && key === 'runtime') return [{ label: 'yaml', type: 'keyword' }];
  if (path[0] === 'config') return key === 'type' ? literals('string', 'integer', 'number', 'boolean') : [];
  if (path[0] === 'resources' && path.length === 2 && key === 'type') return tokens(schema);
  const property = properties(schema, lines, path).find((one) => one.name === key);
  return property?.type === 'boolean' ? literals('true', 'false') : [];
}

function tokens(schema: Schema | null): Completion[] {
  return (schema?.resources ?? []).map(({ token, description }) => ({
    label: token,
    type: 'class',
    ...(description ? { info: description } : {}),
  }));
}

// properties finds what may stand under a path such as
// resources/vm/properties/disks: the inputs of the resource's type, then down
// through the objects that they refer to.
function properties(schema: Schema | null, lines: readonly string[], path: readonly string[]): SchemaProperty[] {
  const [root, name, part, ...inner] = path;
  if (!schema || root !== 'resources' || name === undefined || part !== 'properties') return [];
  const token = keysUnder(lines, ['resources', name]).get('type')?.replace(/^["']|["']$/g, '');
  let found = schema.resources.find((resource) => resource.token === token)?.properties ?? [];
  for (const key of inner) {
    const type = found.find((property) => property.name === key)?.type ?? '';
    found = schema.types?.[type.replace(/^(?:(?:list|map)<)+|>+$/g, '')] ?? [];
  }
  return found;
}

function shortType(type: string): string {
  return type.replace(/[\w-]+:[\w/-]+:/g, '');
}

function words(list: readonly [string, string][]): Completion[] {
  return list.map(([label, detail]) => ({ label, apply: `${label}: `, type: 'keyword', detail }));
}

function literals(...labels: string[]): Completion[] {
  return labels.map((label) => ({ label, type: 'constant' }));
}
