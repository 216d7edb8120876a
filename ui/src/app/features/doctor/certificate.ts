import type { Tone } from '@core/page/badge';

/** Where the certificate comes from. */
export type Source = 'self-signed' | 'own' | 'acme';

/** How an authority is asked. */
export interface Acme {
  directory: string;
  email?: string;
  domains: string[];
  challenge: 'http-01' | 'tls-alpn-01';
  ca_pem?: string;
}

/** The certificate in use. */
export interface Certificate {
  source: Source;
  subject: string;
  names: string[];
  issuer: string;
  not_before: string;
  not_after: string;
  fingerprint: string;
  acme: Acme | null;
  renew_at?: string | null;
  last_error: string;
}

/** How the appliance is called and reached; warnings say what a change breaks. */
export interface Address {
  name: string;
  url: string;
  passkeys: number;
  warnings: string[];
}

const day = 86_400_000;

/** How many days a certificate is still good; negative when it is over. */
export function daysLeft(certificate: Certificate, now: number): number {
  return Math.floor((Date.parse(certificate.not_after) - now) / day);
}

/** The colour for the days that are left. */
export function leftTone(days: number): Tone {
  if (days < 0) return 'bad';
  return days < 21 ? 'warn' : 'good';
}

/** The source in words. */
export function sourceWord(source: Source): string {
  switch (source) {
    case 'self-signed':
      return $localize`made by Nimbus itself`;
    case 'own':
      return $localize`your own`;
    case 'acme':
      return $localize`from an authority, by ACME`;
  }
}

/** Certificates and keys in texts of PEM, whichever file they lay in. */
export function sortPem(text: string): { certificates: string; key: string } {
  const blocks = text.match(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g) ?? [];
  const isKey = (block: string) => /^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(block);
  return {
    certificates: blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE-----')).join('\n'),
    key: blocks.find(isKey) ?? '',
  };
}

/** Names apart by spaces, commas or lines. */
export function namesOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((name) => name.trim().toLowerCase())
    .filter(Boolean);
}
