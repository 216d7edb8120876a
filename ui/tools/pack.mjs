// Writes a .br beside every file of dist that shrinks, so that the
// server sends stored bytes and never compresses a static file. Prints what the
// first page transfers and fails when it is over the budget.
import { constants, brotliCompressSync } from 'node:zlib';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const budget = 180_000;
const compressible = /\.(html|js|css|svg|json|txt|webmanifest)$/;

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

function pack(path) {
  const raw = readFileSync(path);
  const brotli = brotliCompressSync(raw, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: raw.length,
    },
  });
  if (brotli.length < raw.length) writeFileSync(`${path}.br`, brotli);
}

function transferred(name) {
  const path = join(dist, name);
  try {
    return statSync(`${path}.br`).size;
  } catch {
    return statSync(path).size;
  }
}

// firstPage names what index.html asks for, with the fonts of the first paint.
function firstPage() {
  const html = readFileSync(join(dist, 'index.html'), 'utf8');
  const linked = [...html.matchAll(/(?:src|href)="([^"#:]+\.(?:js|css|svg))"/g)].map((m) => m[1]);
  const fonts = files(dist).filter((path) => /geist-latin-wght.*\.woff2$/.test(path));
  return ['index.html', ...new Set(linked), ...fonts.map((path) => relative(dist, path))];
}

files(dist).filter((path) => compressible.test(path)).forEach(pack);
writeFileSync(join(dist, '.gitkeep'), '');
const total = firstPage().reduce((sum, name) => sum + transferred(name), 0);
console.log(`First page: ${(total / 1000).toFixed(1)} kB transferred (budget ${budget / 1000} kB).`);
if (total > budget) {
  console.error('The first page is over its budget. Move code into a lazy-loaded feature.');
  process.exit(1);
}
