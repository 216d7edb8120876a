import { CompletionContext, CompletionResult, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { StreamLanguage, StringStream, bracketMatching } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { EditorView, drawSelection, keymap, placeholder } from '@codemirror/view';

import { look } from '@core/editor/look';

import { ConditionWords, offers } from './words';

/** What an editor of a condition needs from the page around it. */
export interface ConditionHost {
  parent: HTMLElement;
  text: string;
  label: string;
  placeholder: string;
  words: () => ConditionWords | null;
  changed: (text: string) => void;
}

/** An editor of a condition on the page. */
export interface ConditionText {
  set(text: string): void;
  destroy(): void;
}

/** Makes the editor inside `host.parent`. Tab leaves it. */
export function createConditionText(host: ConditionHost): ConditionText {
  const view = new EditorView({ parent: host.parent, state: EditorState.create({ doc: host.text, extensions: extensions(host) }) });
  return {
    set: (text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    destroy: () => view.destroy(),
  };
}

function extensions(host: ConditionHost) {
  return [
    history(),
    drawSelection(),
    closeBrackets(),
    bracketMatching(),
    cel,
    look,
    EditorView.theme({ '.cm-content': { padding: 'var(--s2) var(--s3)' } }),
    EditorView.lineWrapping,
    placeholder(host.placeholder),
    autocompletion({ override: [complete(host.words)], icons: false }),
    EditorView.contentAttributes.of({ 'aria-label': host.label }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) host.changed(update.state.doc.toString());
    }),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
  ];
}

function complete(words: () => ConditionWords | null): (context: CompletionContext) => CompletionResult | null {
  return (context) => {
    const word = context.matchBefore(/[\w.]*/);
    if (!word || (word.from === word.to && !context.explicit)) return null;
    return { from: word.from, options: offers(words(), word.text), filter: false };
  };
}

const cel = StreamLanguage.define<null>({
  name: 'cel',
  token: (stream) => tokenOf(stream),
  languageData: { closeBrackets: { brackets: ['(', '[', '{', "'", '"'] }, commentTokens: { line: '//' } },
});

function tokenOf(stream: StringStream): string | null {
  if (stream.eatSpace()) return null;
  if (stream.match('//')) {
    stream.skipToEnd();
    return 'comment';
  }
  if (stream.match(/^[rRbB]{0,2}("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)/)) return 'string';
  if (stream.match(/^(0x[\da-fA-F]+|\d+(\.\d+)?([eE][+-]?\d+)?)u?/)) return 'number';
  if (stream.match(/^(true|false|null)\b/)) return 'atom';
  if (stream.match(/^in\b/)) return 'keyword';
  if (stream.match(/^[A-Za-z_]\w*(?=\s*\()/)) return 'typeName';
  if (stream.match(/^[A-Za-z_]\w*/)) return 'propertyName';
  stream.next();
  return 'punctuation';
}
