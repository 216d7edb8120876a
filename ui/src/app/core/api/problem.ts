/** What went wrong, as the server classes it (RFC 9457 with our `code`). */
export type ProblemCode =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'too_many'
  | 'unavailable'
  | 'internal'
  | 'gone'
  | 'step_up_required'
  | 'mfa_required'
  | 'offline';

/** One rejected field; `location` is a path such as `body.admin_email`. */
export interface FieldProblem {
  location: string;
  message: string;
}

interface ProblemBody {
  title?: string;
  detail?: string;
  code?: ProblemCode;
  request_id?: string;
  errors?: FieldProblem[];
  permission?: string;
}

/** A failed request. `message` is a sentence for the person that says what to do next. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    message: string,
    readonly code: ProblemCode,
    readonly status: number,
    readonly requestId: string | null = null,
    readonly fields: readonly FieldProblem[] = [],
    /** Seconds to wait before trying again, or null. */
    readonly retryAfter: number | null = null,
    /** The permission that a refused request needed, or null when the refusal has another reason. */
    readonly permission: string | null = null,
  ) {
    super(message);
  }

  /** The message for a field of the request body, or null. */
  field(name: string): string | null {
    const last = (location: string) => location.split(/[./]/).at(-1);
    return this.fields.find((field) => last(field.location) === name)?.message ?? null;
  }
}

const byStatus: Readonly<Record<number, ProblemCode>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  410: 'gone',
  422: 'invalid',
  429: 'too_many',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};

/** Turns a response that is not 2xx into a Problem, whatever its body holds. */
export async function problemOf(response: Response): Promise<Problem> {
  const body = await readBody(response);
  const code = body.code ?? byStatus[response.status] ?? 'internal';
  const wait = Number(response.headers.get('Retry-After'));
  return new Problem(
    body.detail ?? body.title ?? fallback(code),
    code,
    response.status,
    body.request_id ?? response.headers.get('X-Request-Id'),
    body.errors ?? [],
    Number.isFinite(wait) && wait > 0 ? wait : null,
    body.permission ?? null,
  );
}

/** The Problem for a request that got no answer at all. */
export function offlineProblem(): Problem {
  return new Problem(
    $localize`Nimbus does not answer. Check that the appliance runs and that this browser can reach it, then try again.`,
    'offline',
    0,
  );
}

/** Any thrown value as a Problem, so that pages present one kind of error. */
export function asProblem(cause: unknown): Problem {
  if (cause instanceof Problem) return cause;
  console.error(cause);
  return new Problem(fallback('internal'), 'internal', 0);
}

async function readBody(response: Response): Promise<ProblemBody> {
  const type = response.headers.get('Content-Type') ?? '';
  if (!type.includes('json')) return {};
  try {
    return (await response.json()) as ProblemBody;
  } catch {
    return {};
  }
}

function fallback(code: ProblemCode): string {
  switch (code) {
    case 'unauthenticated':
      return $localize`You are signed out. Sign in again.`;
    case 'forbidden':
      return $localize`Your roles do not allow this. Ask an administrator of this tenant.`;
    case 'not_found':
      return $localize`This does not exist, or not for you. Go back to the list.`;
    case 'unavailable':
      return $localize`A part of Nimbus is not available right now. See System health, then try again.`;
    case 'too_many':
      return $localize`Too many tries. Wait a moment and try again.`;
    default:
      return $localize`Something failed on the server. Try again; if it stays, look at System health.`;
  }
}
