// A stand-in for the appliance, for looking at the interface while it is made:
// serves ../dist (or DIST) and answers /v1 with made-up data from memory. Development
// only; it knows no security at all. POST /mock/scenario {name: bool} switches
// what it plays: setup, empty, breakglass, signed_out, failing, refused, step_up,
// second_factor, enrol, elsewhere.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { routes as applianceRoutes } from './appliance.mjs';
import { routes as auditRoutes } from './audit.mjs';
import { routes as lifeRoutes } from './audit-life.mjs';
import { routes as watchRoutes } from './audit-watch.mjs';
import { routes as backupRoutes } from './backups.mjs';
import { routes as certificateRoutes } from './certificate.mjs';
import { routes as doctorRoutes } from './doctor.mjs';
import { routes as infrastructureRoutes } from './infrastructure.mjs';
import { routes as peopleRoutes } from './people.mjs';
import { routes as permissionRoutes } from './permissions.mjs';
import { routes as setupRoutes } from './setup.mjs';
import { routes as signInRoutes } from './sign-in.mjs';
import { refuse, socket } from './socket.mjs';
import { routes as tenancyRoutes } from './tenancy.mjs';

const dist = process.env.DIST ?? fileURLToPath(new URL('../dist', import.meta.url));
const port = Number(process.env.PORT ?? 4300);
const scenario = { setup: false, empty: false, breakglass: false, signed_out: false, failing: false, refused: false, step_up: false, second_factor: false, enrol: false, elsewhere: false };
refuse(() => (scenario.refused ? 'You may not do this: it needs audit:record:read. No grant matches.' : ''));
const routes = [...setupRoutes, ...permissionRoutes, ...signInRoutes, ...tenancyRoutes, ...peopleRoutes, ...auditRoutes, ...lifeRoutes, ...watchRoutes, ...applianceRoutes, ...backupRoutes, ...certificateRoutes, ...doctorRoutes, ...infrastructureRoutes];
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text ? JSON.parse(text) : {};
}

function send(response, status, value) {
  if (Buffer.isBuffer(value)) {
    response.writeHead(status, { 'Content-Type': 'application/zip' });
    return response.end(value);
  }
  const type = status >= 400 ? 'application/problem+json' : 'application/json';
  response.writeHead(status, value === undefined ? {} : { 'Content-Type': type });
  response.end(value === undefined ? undefined : JSON.stringify(value));
}

async function api(request, response, url) {
  for (const [method, pattern, handler] of routes) {
    const match = request.method === method && pattern.exec(url.pathname);
    if (!match) continue;
    const [status, value] = await handler({
      scenario,
      params: match.slice(1),
      query: url.searchParams,
      body: await body(request),
    });
    return send(response, status, value);
  }
  return send(response, 404, { status: 404, code: 'not_found', detail: 'This does not exist. Go back to the list.' });
}

async function file(response, path) {
  const wanted = normalize(path).replace(/^(\.\.[/\\])+/, '');
  const name = extname(wanted) ? wanted : 'index.html';
  try {
    const plain = join(dist, name);
    const packed = await readFile(`${plain}.br`).catch(() => null);
    const content = packed ?? (await readFile(plain));
    const headers = { 'Content-Type': types[extname(name)] ?? 'application/octet-stream' };
    if (packed) headers['Content-Encoding'] = 'br';
    response.writeHead(200, headers);
    response.end(content);
  } catch {
    response.writeHead(404);
    response.end();
  }
}

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/mock/scenario') {
    Object.assign(scenario, await body(request));
    return send(response, 200, scenario);
  }
  if (url.pathname === '/socket.io/') return socket(request, response, url);
  if (url.pathname.startsWith('/v1/')) return api(request, response, url);
  return file(response, url.pathname);
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
