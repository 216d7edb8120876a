// The first-run wizard's server side, made up.
const names = ['appliance', 'database', 'hsm', 'organisation', 'proxmox', 'recovery_kit'];
let authenticated = false;
let tries = 5;
const steps = new Map(names.map((name) => [name, { name, done: false, answers: {} }]));
const expires = () => new Date(Date.now() + 26 * 60_000).toISOString();
const kit = [
  'NIMBUS RECOVERY KIT',
  'appliance  nimbus-01 (https://nimbus.home.arpa:8443)',
  'made       2026-11-23T09:40:11Z',
  '',
  'AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ0EXAMPLE',
  '',
].join('\n');

const samples = {
  appliance: { name: 'nimbus-01', url: 'https://nimbus.home.arpa:8443', time_zone: 'Europe/Berlin', certificate: { mode: 'self_signed' } },
  database: { mode: 'embedded', progress: { stage: 'Ready', percent: 100, error: null } },
  hsm: { mode: 'none' },
  organisation: { tenant_name: 'Homelab', admin_name: 'Ada Berger', admin_email: 'ada@home.arpa' },
  proxmox: { mode: 'simulated' },
  recovery_kit: {},
};

// The steps, or for a picture the steps as they are when `until` is the next one.
function shown(until) {
  if (!until) return [...steps.values()];
  const at = until === 'done' ? names.length : names.indexOf(until);
  return names.map((name, index) => index < at ? { name, done: true, answers: samples[name] } : { name, done: false, answers: {} });
}

function done(name, answers) {
  steps.set(name, { name, done: true, answers });
  return steps.get(name);
}

function problem(status, code, detail, errors) {
  return [status, { status, code, detail, request_id: '019ab2f0-7c1e-7d2a-9a64-4b1f5c0e7d11', errors }];
}

function database(mode) {
  const step = { name: 'database', done: false, answers: { mode, progress: { stage: 'Unpacking Postgres', percent: 8, error: null } } };
  steps.set('database', step);
  const stages = [['Creating the cluster', 34], ['Starting Postgres', 58], ['Applying migrations', 86], ['Ready', 100]];
  stages.forEach(([stage, percent], at) => setTimeout(() => {
    step.answers.progress = { stage, percent, error: null };
    step.done = percent === 100;
  }, 900 * (at + 1)));
}

const privileges = ['Sys.Audit', 'VM.Audit', 'VM.Allocate', 'VM.Config.Disk', 'VM.PowerMgmt', 'Datastore.AllocateSpace', 'SDN.Use'];

function proxmox(body) {
  if (body.url && !body.url.startsWith('https://')) {
    return problem(422, 'invalid', 'The address must begin with https://. Correct it and test again.', [{ location: 'body.url', message: 'Must begin with https://' }]);
  }
  return [200, {
    ok: true,
    message: 'Connected to cluster "home" with 3 nodes.',
    version: '8.4.1',
    fingerprint: 'B4:1C:7E:90:AA:31:5D:0F:6C:E2:18:77:3B:9D:44:C8:02:FA:61:E7:5B:13:8E:90:27:DC:46:A3:F1:0B:95:6E',
    privileges: privileges.map((privilege, at) => ({ path: '/', privilege, ok: body.token_id === 'nimbus@pve!limited' ? at % 3 !== 1 : true })),
  }];
}

// A restore that takes ten seconds; a kit with "other" in it is another appliance's.
let begun = 0;
const ago = (hours) => new Date(Date.now() - hours * 3_600_000).toISOString();
const found = (n, hours, rest) => ({ id: `019ab2f5-0000-7000-8000-${String(n).padStart(12, '0')}`, name: 'nimbus-01', kind: 'scheduled', version: '0.1.0', created_at: ago(hours + 0.05), moment: ago(hours), bytes: 613_900_000, unpacked: 2_411_000_000, includes: [], latest: ago(0.02), ...rest });
const wrongKit = (body) => body.key.includes('other') && problem(422, 'unprocessable', 'This recovery kit does not open the backup: it is another appliance’s, or an older or newer kit. Find the kit that was in use when the backup was made. Nothing was touched.');
const restoring = (scenario) => {
  if (!begun) return scenario.failing ? { state: 'failed', stage: 'checking what was restored', percent: 81, error: 'The disk has 1.2 GiB free and the backup needs 4.8 GiB. Make room, or restore on a larger disk.' } : { state: 'idle', stage: '', percent: 0 };
  const percent = Math.min(100, Math.floor((Date.now() - begun) / 100));
  if (percent < 100) return { state: 'running', stage: percent < 60 ? 'unpacking the databases' : 'checking what was restored', percent };
  return { state: 'done', stage: 'done', percent: 100, proof: { chains: 4, records: 18_204, tenants: 3, people: 11, moment: ago(0.02) } };
};

/** What `GET /v1/setup` and the steps answer. */
export const routes = [
  ['GET', /^\/v1\/setup$/, ({ scenario }) => scenario.setup
    ? [200, { open: true, authenticated: scenario.setup_signed_in ?? authenticated, token_expires_at: expires(), steps: shown(scenario.setup_until), defaults: { url: 'https://192.168.1.20:8443', time_zone: 'Europe/Berlin', name: 'nimbus' } }]
    : problem(404, 'not_found', 'Set-up is closed.')],
  ['POST', /^\/v1\/setup\/session$/, ({ body }) => {
    if (body.token?.replaceAll('-', '').length < 8) return problem(401, 'unauthenticated', `This is not the setup token. Read it again on the console; ${--tries} tries are left.`);
    authenticated = true;
    return [204];
  }],
  ['PUT', /^\/v1\/setup\/appliance$/, ({ body }) => [200, done('appliance', { ...body, certificate: { mode: body.certificate.mode } })]],
  ['POST', /^\/v1\/setup\/database\/test$/, ({ body }) => body.dsn.includes('@')
    ? [200, { ok: true, message: 'The server fits.', version: '17.6', checks: [{ name: 'reachable', ok: true, message: 'Answered in 3 ms' }, { name: 'version', ok: true, message: '17.6, at least 15 is needed' }, { name: 'privileges', ok: true, message: 'May create databases and roles' }] }]
    : [200, { ok: false, message: 'The server refused the password. Check user and password in the address.', version: '', checks: [{ name: 'reachable', ok: true, message: 'Answered in 3 ms' }, { name: 'sign-in', ok: false, message: 'Password refused for user "nimbus"' }] }]],
  ['PUT', /^\/v1\/setup\/database$/, ({ body }) => { database(body.mode); return [202, steps.get('database')]; }],
  ['POST', /^\/v1\/setup\/hsm\/slots$/, () => [200, { slots: [{ slot: 0, label: 'nimbus', manufacturer: 'SoftHSM project', model: 'SoftHSM v2', serial: '8d1f5a2e', initialised: true }, { slot: 1, label: '', manufacturer: 'SoftHSM project', model: 'SoftHSM v2', serial: '', initialised: false }] }]],
  ['POST', /^\/v1\/setup\/hsm\/test$/, ({ body }) => body.pin === '0000' ? problem(422, 'invalid', 'The token refused the PIN. Two tries are left before it locks; check the PIN before you try again.') : [200, { ok: true, message: 'Signed and verified a challenge.', key_type: 'EC P-256' }]],
  ['PUT', /^\/v1\/setup\/hsm$/, ({ body }) => { const { pin: _pin, ...answers } = body; done('hsm', answers); return [200, { ok: true, message: '', key_type: 'EC P-256' }]; }],
  ['PUT', /^\/v1\/setup\/organisation$/, ({ body }) => { const { admin_password: _password, ...answers } = body; return [200, done('organisation', answers)]; }],
  ['POST', /^\/v1\/setup\/proxmox\/test$/, ({ body }) => proxmox(body)],
  ['PUT', /^\/v1\/setup\/proxmox$/, ({ body }) => { const { token_secret: _secret, ...answers } = body; done('proxmox', answers); return proxmox(body); }],
  ['GET', /^\/v1\/setup\/proxmox\/commands$/, () => [200, { lines: [
    'pveum role add Nimbus --privs "Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit,Pool.Allocate,Pool.Audit,SDN.Use,Sys.Audit,VM.Allocate,VM.Audit,VM.Clone,VM.Config.CDROM,VM.Config.CPU,VM.Config.Cloudinit,VM.Config.Disk,VM.Config.HWType,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.PowerMgmt"',
    'pveum user add nimbus@pve --comment "Nimbus"',
    'pveum acl modify / --users nimbus@pve --roles Nimbus',
    'pveum user token add nimbus@pve nimbus --privsep 0',
  ] }]],
  ['POST', /^\/v1\/setup\/recovery-kit$/, () => [200, { kit, file_name: 'nimbus-recovery-kit.txt' }]],
  ['POST', /^\/v1\/setup\/recovery-kit\/verify$/, ({ body }) => {
    if (body.kit.trim() !== kit.trim()) return [200, { ok: false, message: 'This is not the newest kit. Choose the file that was downloaded last.' }];
    done('recovery_kit', {});
    return [200, { ok: true, message: 'The kit opened the trial secret.' }];
  }],
  ['POST', /^\/v1\/setup\/restore\/inspect$/, ({ body }) => wrongKit(body) || [200, { backups: [found(1, 7), found(2, 31, { latest: ago(31) }), found(3, 800, { version: '0.2.0', refused: 'It was made by Nimbus 0.2.0; this is 0.1.0. Install that release or a newer one.' })], points: { from: ago(31), to: ago(0.02) } }]],
  ['POST', /^\/v1\/setup\/restore$/, ({ body, scenario }) => wrongKit(body) || ((begun = Date.now()), [202, restoring(scenario)])],
  ['GET', /^\/v1\/setup\/restore$/, ({ scenario }) => {
    const now = restoring(scenario);
    if (now.state === 'done') setTimeout(() => { begun = 0; scenario.setup = false; }, 3000);
    return [200, now];
  }],
  ['POST', /^\/v1\/setup\/complete$/, ({ scenario }) => { scenario.setup = false; return [204]; }],
];
