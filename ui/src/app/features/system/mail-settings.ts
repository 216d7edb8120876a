/** How the appliance reaches its mail server. */
export interface MailSettings {
  host: string;
  port: number;
  security: MailSecurity;
  username: string;
  has_password: boolean;
  from_address: string;
  from_name: string;
}

/** How the connection to a mail server is protected. */
export type MailSecurity = 'starttls' | 'tls' | 'none';

const usual: Readonly<Record<MailSecurity, number>> = { starttls: 587, tls: 465, none: 25 };

/** The port after the protection changed: the usual one, unless the person chose another. */
export function portFor(security: MailSecurity, before: number): number {
  return before === 0 || Object.values(usual).includes(before) ? usual[security] : before;
}

/** What the form holds. */
export interface MailForm {
  host: string;
  port: number;
  security: MailSecurity;
  username: string;
  password: string;
  forget_password: boolean;
  from_address: string;
  from_name: string;
}

/** The body of a change. A password left empty keeps the stored one; an account without a name has none. */
export function mailBody(form: MailForm): object {
  const { password, forget_password, ...rest } = form;
  const body = { ...rest, host: rest.host.trim(), username: rest.username.trim(), from_address: rest.from_address.trim(), from_name: rest.from_name.trim() };
  if (forget_password || body.username === '') return { ...body, password: '' };
  return password === '' ? body : { ...body, password };
}
