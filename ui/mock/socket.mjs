// The smallest Socket.IO endpoint that keeps the stock client connected: long
// polling, one namespace, heartbeats, acknowledged events, and what `broadcast` is given.
const waiting = new Map();
const queued = new Map();
const feeds = new Map();
const fed = new Map();

function tell(sid, packet) {
  const response = waiting.get(sid);
  if (!response) return queued.get(sid)?.push(packet);
  waiting.delete(sid);
  response.end(packet);
}

function open(response) {
  const sid = crypto.randomUUID();
  queued.set(sid, []);
  response.end(`0${JSON.stringify({ sid, upgrades: [], pingInterval: 20000, pingTimeout: 20000, maxPayload: 1e6 })}`);
  setInterval(() => tell(sid, '2'), 20000).unref();
}

async function receive(request, response, sid) {
  let text = '';
  for await (const part of request) text += part;
  for (const packet of text.split('\x1e')) {
    if (packet.startsWith('40')) tell(sid, `40${JSON.stringify({ sid })}`);
    const [, event] = /^42\d*\["([^"]+)"/.exec(packet) ?? [];
    const refused = feeds.has(event) && refusal();
    if (feeds.has(event) && !refused) begin(sid, feeds.get(event));
    if (event?.startsWith('audit:unwatch')) clearInterval(fed.get(sid));
    const asked = /^42(\d+)/.exec(packet);
    if (asked) tell(sid, `43${asked[1]}${JSON.stringify([refused ? { ok: false, error: refused } : { ok: true }])}`);
  }
  response.end('ok');
}

function begin(sid, { heard, every, make }) {
  let turn = 0;
  clearInterval(fed.get(sid));
  fed.set(sid, setInterval(() => tell(sid, `42${JSON.stringify([heard, make(++turn)])}`), every).unref());
}

let refusal = () => '';

/** Lets feeds be refused with the reason that `why` gives. */
export function refuse(why) {
  refusal = why;
}

/** Sends what `make` makes, every so many milliseconds, to browsers that asked with `asked`. */
export function feed(asked, heard, every, make) {
  feeds.set(asked, { heard, every, make });
}

/** Tells every connected browser one event, as the appliance does. */
export function broadcast(type, id, data) {
  for (const sid of queued.keys()) tell(sid, `42${JSON.stringify(['event', { type, id, tenant_id: '', data }])}`);
}

/** Answers one request to /socket.io/. */
export function socket(request, response, url) {
  const sid = url.searchParams.get('sid');
  if (!sid) return open(response);
  if (!queued.has(sid)) {
    response.writeHead(400, { 'Content-Type': 'application/json' });
    return response.end('{"code":1,"message":"Session ID unknown"}');
  }
  if (request.method === 'POST') return receive(request, response, sid);
  const packet = queued.get(sid).shift();
  if (packet) return response.end(packet);
  return waiting.set(sid, response);
}
