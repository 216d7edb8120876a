import { Tone } from '@core/page/badge';

import { PowerAction, Task } from './item';

/** What a task does, in words; Proxmox's own name where we have none. */
export function taskTitle(task: Task): string {
  const [, verb] = /^(?:qm|vz)(.+)$/.exec(task.type) ?? [];
  const words: Readonly<Record<string, string>> = {
    start: $localize`Start`,
    stop: $localize`Stop`,
    shutdown: $localize`Shut down`,
    reboot: $localize`Reboot`,
    reset: $localize`Reset`,
    suspend: $localize`Suspend`,
    pause: $localize`Suspend`,
    resume: $localize`Resume`,
    create: $localize`Create`,
    clone: $localize`Clone`,
    destroy: $localize`Destroy`,
    migrate: $localize`Migrate`,
    config: $localize`Configure`,
    resize: $localize`Resize`,
    snapshot: $localize`Snapshot`,
    template: $localize`Make a template`,
  };
  return words[verb ?? task.type] ?? task.type;
}

/** The colour and the word of a task's state. */
export function taskState(task: Task): { tone: Tone; word: string } {
  switch (task.status) {
    case 'running':
      return { tone: 'busy', word: $localize`Running` };
    case 'ok':
      return { tone: 'good', word: $localize`Done` };
    case 'failed':
      return { tone: 'bad', word: $localize`Failed` };
  }
}

/** What to ask before a guest is switched; null where nothing can be lost. */
export function powerQuestion(
  action: PowerAction,
  name: string,
): { heading: string; text: string; verb: string; danger: boolean } | null {
  switch (action) {
    case 'stop':
      return {
        heading: $localize`Stop ${name} at once?`,
        text: $localize`Like pulling the plug: what the guest has not written to its disk is lost. Shut down is the gentle way.`,
        verb: $localize`Stop at once`,
        danger: true,
      };
    case 'shutdown':
      return {
        heading: $localize`Shut down ${name}?`,
        text: $localize`The guest is asked to end its services and then goes off. Who uses it is cut off.`,
        verb: $localize`Shut down`,
        danger: false,
      };
    case 'reboot':
      return {
        heading: $localize`Reboot ${name}?`,
        text: $localize`The guest goes down and comes up again. Who uses it is cut off meanwhile.`,
        verb: $localize`Reboot`,
        danger: false,
      };
    case 'suspend':
      return {
        heading: $localize`Suspend ${name}?`,
        text: $localize`The guest stands still, with its memory kept, until somebody resumes it.`,
        verb: $localize`Suspend`,
        danger: false,
      };
    default:
      return null;
  }
}

/** The actions that a guest in this state takes, the most likely first. */
export function powerActions(status: string): PowerAction[] {
  switch (status) {
    case 'running':
      return ['shutdown', 'reboot', 'suspend', 'stop'];
    case 'paused':
    case 'suspended':
      return ['resume', 'stop'];
    case 'stopped':
      return ['start'];
    default:
      return [];
  }
}
