/** A part of a sentence, of which some are to be typed as they stand. */
export interface Part {
  text: string;
  code: boolean;
}

/** Splits what the appliance says at its backticks, which stand around commands. One without a second stays as it is. */
export function quoted(text: string): Part[] {
  return text
    .split(/(`[^`]+`)/)
    .filter((piece) => piece !== '')
    .map((piece) => (/^`[^`]+`$/.test(piece) ? { text: piece.slice(1, -1), code: true } : { text: piece, code: false }));
}
