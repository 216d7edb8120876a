import { Injectable } from '@angular/core';

import { Problem, offlineProblem, problemOf } from './problem';

/** Query parameters; empty ones are left out, and a list repeats its name. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

/** One page of a list, see KeysetList. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Options of one request. */
export interface RequestOptions {
  query?: Query;
  /** Ends the request; the promise then rejects with an AbortError. */
  signal?: AbortSignal;
  /** Set where a 401 means a wrong password and not the end of the session. */
  keepSession?: boolean;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * The only way to the server. Paths are given without `/v1`. Every failure
 * rejects with a Problem, except an abort, which rejects with its AbortError.
 */
@Injectable({ providedIn: 'root' })
export class Api {
  /** Asks for a proof that it is still the same person; answers whether the request may be sent again. Set by StepUp. */
  stepUp: () => Promise<boolean> = () => Promise.resolve(false);
  /** Called when the server says that nobody is signed in. Set by Session. */
  signedOut: () => void = () => undefined;
  /** Called when the session may do nothing before a second factor is proven. Set by Session. */
  limited: () => void = () => undefined;

  /** Reads a resource. */
  get<T>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('GET', path, undefined, options);
  }

  /** Creates or starts something; carries one Idempotency-Key over every retry. */
  post<T = void>(path: string, body: unknown = {}, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('POST', path, body, options);
  }

  /** Replaces a resource. */
  put<T = void>(path: string, body: unknown, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('PUT', path, body, options);
  }

  /** Changes the named fields of a resource. */
  patch<T = void>(path: string, body: unknown, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('PATCH', path, body, options);
  }

  /** Asks for something that is made on the way and comes as a file. */
  async download(path: string, body: unknown = {}): Promise<Blob> {
    const response = await this.request<Response>('POST', path, body, {}, asIs);
    return response.blob();
  }

  /** Deletes a resource. */
  delete<T = void>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('DELETE', path, undefined, options);
  }

  private async request<T>(
    method: Method,
    path: string,
    body: unknown,
    options: RequestOptions,
    read: (response: Response) => Promise<unknown> = content,
  ): Promise<T> {
    const init = requestInit(method, body, options.signal);
    const url = `/v1${path}${queryString(options.query)}`;
    const send = async () => (await read(await answerOf(url, init))) as T;
    try {
      return await send();
    } catch (cause) {
      if (!(cause instanceof Problem)) throw cause;
      if (cause.code === 'step_up_required' && (await this.stepUp())) return send();
      if (cause.code === 'unauthenticated' && !options.keepSession) this.signedOut();
      if (cause.code === 'mfa_required') this.limited();
      throw cause;
    }
  }
}

function requestInit(method: Method, body: unknown, signal?: AbortSignal): RequestInit {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['Content-Type'] = 'application/json';
  if (method === 'POST') headers['Idempotency-Key'] = idempotencyKey();
  return {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    credentials: 'same-origin',
    cache: 'no-store',
    signal: signal ?? null,
  };
}

async function answerOf(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw cause instanceof DOMException && cause.name === 'AbortError' ? cause : offlineProblem();
  });
  if (!response.ok) throw await problemOf(response);
  return response;
}

function content(response: Response): Promise<unknown> {
  const empty = response.status === 204 || response.headers.get('Content-Length') === '0';
  return empty ? Promise.resolve(undefined) : response.json();
}

function asIs(response: Response): Promise<unknown> {
  return Promise.resolve(response);
}

/** Whether a rejected promise only says that its request was aborted. */
export function isAbort(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === 'AbortError';
}

/** `?a=1&b=2`, or an empty string; leaves out null, undefined and ''. */
export function queryString(query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((each) => params.append(name, String(each)));
    else if (value !== null && value !== undefined && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : '';
}

function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
