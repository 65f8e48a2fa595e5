// Which dead letters a filter shows.

/** What is read of a dead letter. */
export interface ShownDeadLetter {
  id: string;
  type: string;
  class: string;
  error: string;
  status: number | null;
  given_up_at: string;
  event: unknown;
}

export interface DeadLetterFilter {
  /** Words that are all in the id, type, error, status or payload. */
  text: string;
  /** The class of the last attempt; "" for all. */
  class: string;
}

/** Whether a filter hides nothing. */
export function isEmpty(filter: DeadLetterFilter): boolean {
  return filter.text.trim() === "" && filter.class === "";
}

/** The dead letters that a filter shows. */
export function matching<T extends ShownDeadLetter>(letters: readonly T[], filter: DeadLetterFilter): T[] {
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  return letters.filter((letter) => {
    if (filter.class !== "" && letter.class !== filter.class) return false;
    if (words.length === 0) return true;
    const text = [letter.id, letter.type, letter.error, letter.status ?? "", JSON.stringify(letter.event)]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** The classes that there are, by how often. */
export function classesOf(letters: readonly ShownDeadLetter[]): { name: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const letter of letters) counts.set(letter.class, (counts.get(letter.class) ?? 0) + 1);
  return [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count);
}
