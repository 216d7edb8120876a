// Small helpers for made-up answers.

/** A moment so many minutes ago. */
export const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();

/** An identifier that ends in a number. */
export const id = (n) => `019ab2f1-1a2b-7c3d-8e4f-${String(n).padStart(12, '0')}`;

/** A list of one page. */
export const page = (items) => [200, { items, next: null }];

/** A refusal with a sentence and, if wanted, rejected fields. */
export const problem = (status, code, detail, errors) => [
  status,
  { status, code, detail, request_id: id(900 + status), permission: /needs ([a-z:-]+)\./.exec(detail)?.[1], errors },
];
