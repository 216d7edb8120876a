import { ChangeDetectionStrategy, Component, inject } from '@angular/core';
import { RouterLink } from '@angular/router';

import { AuditSettingsTabs } from '@core/audit/audit-settings-tabs';
import { Icon } from '@core/icon/icon';
import { keysetList } from '@core/list/keyset-list';
import { ListFrame } from '@core/list/list-frame';
import { Badge } from '@core/page/badge';
import { EmptyState } from '@core/page/empty-state';
import { PageHeader } from '@core/page/page-header';
import { Session } from '@core/session/session';
import { Time } from '@core/time/time';

import { Sink, protocolOf, stateTone, stateWord, whereOf } from './sink';

/** The collectors that get the records of the tenant, and how delivery goes. */
@Component({
  selector: 'nb-sinks',
  imports: [AuditSettingsTabs, Badge, EmptyState, Icon, ListFrame, PageHeader, RouterLink, Time],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <nb-page-header
      i18n-heading
      heading="SIEM"
      i18n-lead
      lead="Collectors that get every record of {{ session.tenant()?.name }} as soon as it is sealed, and once more when they missed it."
    >
      @if (session.can('audit:sink:create')) {
        <a class="button primary" routerLink="/audit-settings/siem/new">
          <nb-icon name="plus" [size]="16" /><ng-container i18n>New sink</ng-container>
        </a>
      }
    </nb-page-header>
    <nb-audit-settings-tabs />
    <nb-list-frame [list]="list" i18n-label label="Sinks">
      <table class="table">
        <thead>
          <tr>
            <th scope="col" i18n>Sink</th>
            <th scope="col" i18n>State</th>
            <th scope="col" class="num" i18n>Behind</th>
            <th scope="col" class="num" i18n>Sent</th>
            <th scope="col" class="num" i18n>Dead letters</th>
            <th scope="col" i18n>Last delivery</th>
          </tr>
        </thead>
        <tbody>
          @for (one of list.items(); track one.id) {
            <tr>
              <th scope="row" class="name">
                <a [routerLink]="['/audit-settings/siem', one.id]">{{ one.name }}</a>
                <p class="small-text soft">{{ protocolOf(one) }} · <span class="where">{{ whereOf(one) }}</span></p>
              </th>
              <td class="state">
                <nb-badge [tone]="stateTone(one.health.state)">{{ stateWord(one.health.state) }}</nb-badge>
                @if (one.health.last_error && one.health.state !== 'ok') {
                  <p class="small-text soft">{{ one.health.last_error }}</p>
                }
              </td>
              <td class="num">{{ one.health.lag }}</td>
              <td class="num">{{ one.health.sent }}</td>
              <td class="num" [class.bad]="one.health.dead > 0">{{ one.health.dead }}</td>
              <td><nb-time [at]="one.health.last_success" [relative]="true" i18n-none none="never" /></td>
            </tr>
          }
        </tbody>
      </table>
      <nb-empty
        whenEmpty
        icon="send"
        i18n-heading
        heading="No collector gets these records"
        i18n-text
        text="Send them to Splunk, Elastic, Wazuh, Graylog or any other collector: as signed JSON to a webhook, or as CEF or RFC 5424 by syslog over UDP, TCP or TLS."
      >
        @if (session.can('audit:sink:create')) {
          <a class="button primary" routerLink="/audit-settings/siem/new" i18n>New sink</a>
        }
      </nb-empty>
    </nb-list-frame>
  `,
  styles: `
    .name {
      min-width: 14rem;
    }
    .where {
      overflow-wrap: anywhere;
    }
    .state {
      min-width: 12rem;
    }
    .bad {
      color: var(--bad);
      font-weight: 600;
    }
  `,
})
export class Sinks {
  protected readonly session = inject(Session);
  protected readonly list = keysetList<Sink>('/audit/sinks');
  protected readonly protocolOf = protocolOf;
  protected readonly stateTone = stateTone;
  protected readonly stateWord = stateWord;
  protected readonly whereOf = whereOf;
}
