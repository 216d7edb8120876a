// Made-up audit trail whose leaves, links, tree and signed checkpoint are real, so
// that the interface's own verification has something to verify.
import { createHash, generateKeyPairSync, sign } from 'node:crypto';

import { record as made } from './appliance.mjs';
import { ago, id, page, problem } from './made-up.mjs';
import { feed } from './socket.mjs';

const total = 4312;
const covered = 4300; // records under the newest checkpoint
const origin = `nimbus/${id(1)}/${id(2)}`;
const sha = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const leafOf = (body) => sha(Buffer.of(0), body);
const parent = (left, right) => sha(Buffer.of(1), left, right);
const pruned = (sequence) => sequence <= 256;

const records = [];
for (let sequence = 1, previous = Buffer.alloc(32); sequence <= total; sequence++) {
  const { hash: _hash, previous_hash: _previous, sealed_at, ...rest } = made(sequence);
  const body = JSON.stringify({ ...rest, sequence: undefined, schema: 2 });
  const leaf = leafOf(body);
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(sequence));
  const link = sha(Buffer.of(2), previous, number, leaf);
  records.push({ ...rest, sealed_at, body, leaf: leaf.toString('hex'), link: link.toString('hex'), hash: link.toString('hex'), previous_hash: previous.toString('hex'), pruned: false });
  previous = link;
}

function root(first, end) {
  if (end - first === 1) return Buffer.from(records[first].leaf, 'hex');
  const k = 2 ** Math.floor(Math.log2(end - first - 1));
  return parent(root(first, first + k), root(first + k, end));
}

function path(index, first, end) {
  if (end - first === 1) return [];
  const k = 2 ** Math.floor(Math.log2(end - first - 1));
  return index < first + k ? [...path(index, first, first + k), root(first + k, end)] : [...path(index, first + k, end), root(first, first + k)];
}

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = publicKey.export({ type: 'spki', format: 'der' });
const keyID = sha(spki).subarray(0, 4);
export const vkey = `${origin}+${keyID.toString('hex')}+${Buffer.concat([Buffer.of(2), spki]).toString('base64')}`;
const headText = `${origin}\n${covered}\n${root(0, covered).toString('base64')}\n`;
const checkpoint = `${headText}\n— ${origin} ${Buffer.concat([keyID, sign('sha256', Buffer.from(headText), privateKey)]).toString('base64')}\n`;

const ranks = ['debug', 'info', 'notice', 'warning', 'error', 'critical'];

function matches(record, query) {
  const is = (name, value) => !query.get(name) || value === query.get(name);
  const has = (name, ...values) => !query.get(name) || values.join(' ').toLowerCase().includes(query.get(name).toLowerCase());
  const events = query.getAll('event');
  return is('outcome', record.outcome) && is('category', record.category) && is('request_id', record.request_id) && is('address', record.address)
    && is('target_kind', record.target.kind) && has('target', record.target.id, record.target.name) && has('actor', record.actor.id, record.actor.name, record.on_behalf_of?.id, record.on_behalf_of?.name)
    && has('on_behalf_of', record.on_behalf_of?.id, record.on_behalf_of?.name)
    && has('q', record.body) && (events.length === 0 || events.some((code) => record.event === code || record.event.startsWith(`${code}.`)))
    && (!query.get('priority') || ranks.indexOf(record.priority) >= ranks.indexOf(query.get('priority')))
    && (!query.get('from') || record.time >= query.get('from')) && (!query.get('to') || record.time <= query.get('to'));
}

const found = ({ query, scenario }) => (scenario.empty ? [] : records.filter((record) => matches(record, query)));
const listed = ({ body: _body, ...rest }) => rest;

function list(asked) {
  const before = Number(asked.query.get('cursor') ?? total + 1);
  const limit = Number(asked.query.get('limit') ?? 50);
  const items = found(asked).filter((record) => record.sequence < before).reverse().slice(0, limit);
  return [200, { items: items.map(listed), next: items.length === limit ? String(items.at(-1).sequence) : null }];
}

function get(sequence) {
  const record = records[sequence - 1];
  if (!record) return problem(404, 'not_found', 'There is no such record. Go back to the list.');
  if (!pruned(sequence)) return [200, record];
  const { leaf, link, hash, previous_hash, sealed_at } = record;
  return [200, { sequence, id: '', time: null, event: '', category: '', priority: '', outcome: '', actor: { id: '', name: '', kind: '' }, target: null, address: '', request_id: '', reason: '', changes: null, details: null, leaf, link, hash, previous_hash, sealed_at, body: null, pruned: true }];
}

function counted(list, of) {
  const counts = new Map();
  for (const record of list) counts.set(of(record), (counts.get(of(record)) ?? 0) + 1);
  return [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count);
}

function timeline(asked) {
  const length = asked.query.get('bucket') === 'hour' ? 13 : 10;
  const buckets = new Map();
  for (const record of found(asked)) {
    const from = record.time.slice(0, length).padEnd(13, 'T00') + ':00:00Z';
    const bucket = buckets.get(from) ?? { from, count: 0, denied: 0, failed: 0, critical: 0 };
    bucket.count++;
    if (record.outcome === 'denied') bucket.denied++;
    if (record.outcome === 'failure') bucket.failed++;
    buckets.set(from, bucket);
  }
  return [200, { buckets: [...buckets.values()] }];
}

function activity(asked) {
  const user = asked.params[0];
  const mine = found(asked).filter((record) => record.actor.id === user || record.on_behalf_of?.id === user);
  const hours = Array(24).fill(0);
  for (const record of mine) hours[new Date(record.time).getHours()] += new Date(record.time).getHours() > 6 ? 1 : 0;
  return [200, {
    user: { id: user, name: mine.find((record) => record.actor.id === user)?.actor.name ?? '' }, first_seen: mine[0]?.time ?? null, last_seen: mine.at(-1)?.time ?? null, hours,
    events: counted(mine, (record) => record.event).map(({ value, count }) => ({ event: value, count })),
    addresses: counted(mine, (record) => record.address).map(({ value, count }) => ({ address: value, count, last: mine.findLast((record) => record.address === value).time })),
    items: mine.slice(-50).reverse().map(listed), next: null,
  }];
}

let run = null;
function verification(scenario) {
  const checked = Math.min(5_000_000, Math.round((Date.now() - run.at) * 1_600));
  const state = run.cancelled ? 'cancelled' : checked < 5_000_000 ? 'running' : 'done';
  const breaks = scenario.breakglass && checked > 3907 ? [{ sequence: 3907, kind: 'leaf', detail: 'The stored body does not have the leaf that was sealed.' }, { sequence: 4011, kind: 'missing', detail: 'The record is gone and no record of pruning covers it.' }] : [];
  return { id: id(77), state, checked, total: 5_000_000, ok: breaks.length === 0, breaks, head: records.at(-1).link, root: root(0, covered).toString('hex'), checkpoints: { checked: 312, failed: 0 }, duration_ms: Date.now() - run.at };
}

const queries = [
  { id: id(81), name: 'Refused in the last day', filter: { outcome: 'denied', last: '24h' }, shared: true, owner: { id: id(12), name: 'Jonas Weiß' }, created_at: ago(9000) },
  { id: id(82), name: 'Changes of stacks', filter: { event: ['deployment.stack'] }, shared: false, owner: { id: id(11), name: 'Ada Berger' }, created_at: ago(900) },
];
const exports = [
  { id: id(91), state: 'running', format: 'jsonl', filter: { event: ['identity'] }, records: 240_000, position: 1_240_000, total: 2_600_000, bytes: 410_000_000, sha256: '', created_by: id(11), creator: 'Ada Berger', created_at: ago(1), expires_at: null, error: '' },
  { id: id(92), state: 'done', format: 'jsonl', filter: null, records: 4300, position: 4300, total: 4300, bytes: 3_400_000, sha256: sha('x').toString('hex'), created_by: id(12), creator: 'Jonas Weiß', created_at: ago(800), expires_at: ago(-9000), error: '' },
  { id: id(93), state: 'failed', format: 'csv', filter: { outcome: 'denied' }, records: 12, position: 45, total: 90, bytes: 0, sha256: '', created_by: id(11), creator: 'Ada Berger', created_at: ago(4000), expires_at: null, error: 'The disk of the data directory is full. Make room, then start the export again.' },
];

const catalogue = counted(records, (record) => record.event).map(({ value }) => ({ code: value, category: value.split('.')[0], priority: 'info', description: `Something was recorded as ${value}.` }));
feed('audit:watch', 'audit.recorded', 700, (turn) => ({ records: [listed({ ...records[(turn * 7) % total], sequence: total + turn, time: ago(0), priority: ranks[turn % 6] })], lost: turn % 9 === 8 ? 14 : 0 }));

export const routes = [
  ['GET', /^\/v1\/audit\/records$/, list],
  ['GET', /^\/v1\/audit\/records\/(\d+)$/, ({ params }) => get(Number(params[0]))],
  ['GET', /^\/v1\/audit\/events$/, () => page(catalogue)],
  ['GET', /^\/v1\/audit\/timeline$/, timeline],
  ['GET', /^\/v1\/audit\/facets$/, (asked) => {
    const list = found(asked);
    return [200, { events: counted(list, (r) => r.event), actors: counted(list, (r) => r.actor.name), outcomes: counted(list, (r) => r.outcome), categories: counted(list, (r) => r.category), addresses: counted(list, (r) => r.address) }];
  }],
  ['GET', /^\/v1\/audit\/activity\/([^/]+)$/, activity],
  ['GET', /^\/v1\/audit\/history\/([^/]+)\/([^/]+)$/, (asked) => page(found(asked).filter((r) => r.target.kind === asked.params[0] && r.target.id === asked.params[1]).slice(-40).map(listed))],
  ['GET', /^\/v1\/audit\/proofs\/inclusion$/, ({ query }) => {
    const sequence = Number(query.get('sequence'));
    if (sequence > covered) return problem(409, 'conflict', 'No checkpoint covers this record yet.');
    return [200, { leaf: records[sequence - 1].leaf, index: sequence - 1, size: covered, hashes: path(sequence - 1, 0, covered).map((hash) => hash.toString('base64')), checkpoint }];
  }],
  ['POST', /^\/v1\/audit\/verify$/, () => { run = { at: Date.now(), cancelled: false }; return [202, { id: id(77) }]; }],
  ['GET', /^\/v1\/audit\/verify\/[^/]+$/, ({ scenario }) => [200, verification(scenario)]],
  ['DELETE', /^\/v1\/audit\/verify\/[^/]+$/, () => { run.cancelled = true; return [204]; }],
  ['GET', /^\/v1\/audit\/queries$/, ({ scenario }) => page(scenario.empty ? [] : queries)],
  ['POST', /^\/v1\/audit\/queries$/, ({ body }) => { queries.push({ id: id(83 + queries.length), owner: { id: id(11), name: 'Ada Berger' }, created_at: ago(0), ...body }); return [201, queries.at(-1)]; }],
  ['PATCH', /^\/v1\/audit\/queries\/([^/]+)$/, ({ params, body }) => [200, Object.assign(queries.find((each) => each.id === params[0]), body)]],
  ['DELETE', /^\/v1\/audit\/queries\/([^/]+)$/, ({ params }) => { queries.splice(queries.findIndex((each) => each.id === params[0]), 1); return [204]; }],
  ['GET', /^\/v1\/audit\/exports$/, ({ scenario }) => page(scenario.empty ? [] : exports)],
  ['POST', /^\/v1\/audit\/exports$/, ({ body }) => { exports.unshift({ ...exports[0], id: id(94 + exports.length), state: 'running', records: 0, position: 0, bytes: 0, created_at: ago(0), format: body.format, filter: body.filter }); return [202, { id: exports[0].id }]; }],
  ['DELETE', /^\/v1\/audit\/exports\/([^/]+)$/, ({ params }) => { const at = exports.findIndex((each) => each.id === params[0]); if (exports[at].state === 'running') exports[at].state = 'cancelled'; else exports.splice(at, 1); return [204]; }],
];
