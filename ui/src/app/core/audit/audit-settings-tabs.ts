import { ChangeDetectionStrategy, Component, computed, inject } from '@angular/core';

import { SectionTab, SectionTabs } from '../page/section-tabs';
import { Session } from '../session/session';
import { AuditSettingsLink, auditSettingsFor } from './rights';

const words: Readonly<Record<AuditSettingsLink, Omit<SectionTab, 'link'>>> = {
  '/audit-settings/retention': { label: $localize`Retention`, icon: 'history' },
  '/audit-settings/holds': { label: $localize`Legal holds`, icon: 'lock' },
  '/audit-settings/redaction': { label: $localize`Redaction`, icon: 'redact' },
  '/audit-settings/archive': { label: $localize`Archive`, icon: 'archive' },
  '/audit-settings/proof': { label: $localize`Proof`, icon: 'seal' },
  '/audit-settings/siem': { label: $localize`SIEM`, icon: 'send' },
};

/** The pages of the audit settings that the person may see, as tabs. */
@Component({
  selector: 'nb-audit-settings-tabs',
  imports: [SectionTabs],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<nb-section-tabs [tabs]="tabs()" i18n-label label="Audit settings" />`,
})
export class AuditSettingsTabs {
  private readonly session = inject(Session);
  protected readonly tabs = computed(() =>
    auditSettingsFor((permission) => this.session.can(permission)).map((link): SectionTab => ({ link, ...words[link] })),
  );
}
