import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from '@codemirror/language';
import { Diagnostic, lintGutter, lintKeymap, linter } from '@codemirror/lint';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { EditorState, Extension, Text } from '@codemirror/state';
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from '@codemirror/view';

import { look } from '@core/editor/look';

import { ProgramDiagnostic, Schema } from '../stack';
import { complete } from './completion';

/** What an editor needs from the page around it. */
export interface EditorHost {
  parent: HTMLElement;
  text: string;
  label: string;
  readonly: boolean;
  /** What completion offers; asked for at each completion. */
  schema: () => Schema | null;
  changed: (text: string) => void;
  save: () => void;
  /** Checks a text on the server; called when typing has paused. */
  check: (text: string) => Promise<ProgramDiagnostic[]>;
}

/** An editor on the page. */
export interface Editor {
  /** Replaces the text, as when a newer version was loaded. */
  set(text: string): void;
  /** Puts the cursor at a line and column, both from 1. */
  go(line: number, column: number): void;
  destroy(): void;
}

/** Makes the editor inside `host.parent`. */
export function createEditor(host: EditorHost): Editor {
  const view = new EditorView({
    parent: host.parent,
    state: EditorState.create({ doc: host.text, extensions: [common(host), host.readonly ? reading() : writing(host)] }),
  });
  return {
    set: (text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    go: (line, column) => {
      const anchor = offset(view.state.doc, line, column);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: 'center' }) });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}

function common(host: EditorHost): Extension {
  return [
    lineNumbers(),
    foldGutter(),
    drawSelection(),
    EditorState.tabSize.of(2),
    yaml(),
    bracketMatching(),
    highlightSelectionMatches(),
    look,
    EditorView.contentAttributes.of({ 'aria-label': host.label, tabindex: '0' }),
    keymap.of([...searchKeymap, ...foldKeymap]),
  ];
}

function reading(): Extension {
  return [EditorState.readOnly.of(true), EditorView.contentAttributes.of({ 'aria-readonly': 'true' })];
}

function writing(host: EditorHost): Extension {
  const save = { key: 'Mod-s', run: () => (host.save(), true) };
  return [
    history(),
    indentOnInput(),
    closeBrackets(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    lintGutter(),
    autocompletion({ override: [complete(host.schema)], icons: false }),
    linter((view) => check(view, host), { delay: 600 }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) host.changed(update.state.doc.toString());
    }),
    keymap.of([save, ...closeBracketsKeymap, ...completionKeymap, ...lintKeymap, ...historyKeymap, indentWithTab, ...defaultKeymap]),
  ];
}

async function check(view: EditorView, host: EditorHost): Promise<Diagnostic[]> {
  const doc = view.state.doc;
  const found = await host.check(doc.toString());
  return found.map((one) => {
    const from = offset(doc, one.line, one.column);
    const to = Math.max(from, doc.lineAt(from).to);
    return { from, to, severity: one.severity, message: one.message };
  });
}

// offset turns a line and a column from 1 into an offset inside the text,
// whatever numbers come.
function offset(doc: Text, line: number, column: number): number {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  return Math.min(at.from + Math.max(column - 1, 0), at.to);
}
