// Numbers with what they count.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** `1 event`, `1,234 events`; a number that is not known is a dash. */
export function counted(count: number | null | undefined, one: string, several = `${one}s`): string {
  if (count === null || count === undefined) return `– ${several}`;
  return `${whole.format(count)} ${count === 1 ? one : several}`;
}
