// The certificate of the port, and name and address of the appliance, made up.
import { problem } from './made-up.mjs';

const ahead = (days) => new Date(Date.now() + days * 86_400_000).toISOString();
const fingerprint = 'B4:1C:7E:90:AA:31:5D:0F:6C:E2:18:77:3B:9D:44:C8:02:FA:61:E7:5B:13:8E:90:27:DC:46:A3:F1:0B:95:6E';

const own = { source: 'self-signed', subject: 'CN=nimbus.home.arpa', names: ['nimbus.home.arpa', '192.168.1.20'], issuer: 'CN=nimbus.home.arpa', not_before: ahead(-30), not_after: ahead(335), fingerprint, acme: null, renew_at: ahead(213), last_error: '' };
const failing = { ...own, source: 'acme', issuer: 'CN=Homelab Intermediate, O=step-ca', not_after: ahead(6), renew_at: ahead(-4), acme: { directory: 'https://ca.home.arpa/acme/acme/directory', email: '', domains: ['nimbus.home.arpa'], challenge: 'http-01', ca_pem: '' }, last_error: 'The authority could not reach http://nimbus.home.arpa/.well-known/acme-challenge/: connection refused. Let port 80 of this machine be reached from it.' };
let certificate = own;
let address = { name: 'nimbus-01', url: 'https://nimbus.home.arpa:8443', passkeys: 4, warnings: [] };
const about = (body) => ({
  ...body, passkeys: 4,
  warnings: body.url === address.url ? [] : [`The certificate in use does not name ${body.url.replace('https://', '')}, so browsers warn until there is one that does.`, '4 passkeys are bound to nimbus.home.arpa. Their owners sign in otherwise and add new ones.'],
});

/** Certificate and address. */
export const routes = [
  ['GET', /^\/v1\/system\/certificate$/, ({ scenario }) => [200, scenario.failing ? failing : certificate]],
  ['PUT', /^\/v1\/system\/certificate$/, ({ body }) => {
    if (body.source === 'own' && !body.key_pem.includes('PRIVATE KEY')) return problem(422, 'invalid', 'There is no private key in this text. It begins with -----BEGIN PRIVATE KEY----- and has no passphrase.', [{ location: 'body.key_pem', message: 'There is no private key in this text.' }]);
    certificate = { ...own, source: body.source, acme: body.acme ?? null };
    return [200, certificate];
  }],
  ['GET', /^\/v1\/system\/address$/, () => [200, address]],
  ['PUT', /^\/v1\/system\/address$/, ({ body, query }) => [200, query.get('check') ? about(body) : (address = { ...about(body), warnings: [] })]],
];
