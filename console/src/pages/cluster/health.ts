// How well the cluster is, in words: how many voters may be lost before writes stop, and what is worst.
import { called, type ClusterStatus, type Problem } from "../../cluster";
import { span } from "../../lib/delivery/state";
import { counted } from "../../lib/words";
import type { Tone } from "../../ui";

export interface Health {
  tone: Tone;
  word: string;
  /** What that means, in short; null if the word says it. */
  why: string | null;
}

/** The state of the cluster: green only if every node answers and nothing critical is known. */
export function healthOf(status: Pick<ClusterStatus, "healthy" | "changing" | "members" | "problems">): Health {
  if (!status.healthy) return { tone: "bad", word: "unhealthy", why: null };
  const silent = status.members.filter((member) => member.state === "unreachable");
  if (silent.length > 0) return { tone: "warn", word: "degraded", why: lossesLeft(status) };
  const critical = status.problems.filter((problem) => problem.severity === "critical").length;
  if (critical > 0) {
    return { tone: "bad", word: "degraded", why: counted(critical, "critical problem") };
  }
  return { tone: "ok", word: "healthy", why: null };
}

/** What is known of a cluster whose node gives no answer: nothing. The times are Unix milliseconds. */
export function unknownHealth(since: number, now: number): Health {
  return { tone: "off", word: "not known", why: `no answer for ${span(Math.max(1000, now - since))}` };
}

/** A crash is news for so long, in milliseconds. */
const NEWS_MS = 24 * 3_600_000;

/** Whether a node was started again not long ago, after its process had ended without being told to. */
export function hasCrashed(member: Pick<ClusterStatus["members"][number], "after_crash" | "uptime_ms">): boolean {
  return member.after_crash === true && (member.uptime_ms ?? Infinity) < NEWS_MS;
}

/** How many of the voters answer, and how many more losses stop writes. */
function lossesLeft({ members, changing }: Pick<ClusterStatus, "members" | "changing">): string {
  const voters = members.filter((member) => member.voter === true);
  const answer = voters.filter((member) => member.state !== "unreachable").length;
  if (answer === voters.length) {
    const silent = members.filter((member) => member.state === "unreachable");
    return `${silent.map(called).join(", ")} does not answer, and has no vote`;
  }
  const of = `${answer} of ${voters.length} nodes`;
  // During a change two majorities count, and which nodes are in them is not told.
  if (changing === true) return `${of}, and the votes are being changed`;
  const more = answer - Math.floor(voters.length / 2);
  if (more <= 0) return `${of}: writes wait`;
  return more === 1 ? `${of}: one more loss stops writes` : `${of}: ${more} more losses stop writes`;
}

const RANKS: Readonly<Record<string, number>> = { critical: 0, warning: 2, info: 3 };
/** Problems that stand right behind the critical ones, in red: a node is missing. They are called so. */
const MISSING: ReadonlyMap<string, string> = new Map([
  ["unreachable", "node missing"],
  ["cut_off", "node cut off"],
  ["half_reachable", "node half reachable"],
]);

/** The tone of a problem. A node that does not answer is red, whatever the cluster makes of it. */
export function toneOf(problem: Pick<Problem, "severity" | "code">): Tone {
  if (problem.severity === "critical" || MISSING.has(problem.code)) return "bad";
  return problem.severity === "warning" ? "warn" : "info";
}

/** A problem's severity in a word. What stands there in red is never called a warning. */
export function wordOf(problem: Pick<Problem, "severity" | "code">): string {
  if (problem.severity === "critical") return "critical";
  return MISSING.get(problem.code) ?? (problem.severity === "info" ? "note" : problem.severity);
}

/** The operation that a problem's advice names, as in `waypost cluster remove 2`; null if it names none. */
export function operationIn(advice: string): string | null {
  return /\bwaypost cluster ([a-z-]+) \d+/.exec(advice)?.[1] ?? null;
}

/** The worst first; among equals the order of the node's answer. */
export function worstFirst<P extends Pick<Problem, "severity" | "code">>(problems: readonly P[]): P[] {
  const rank = (problem: P) => {
    const rank = RANKS[problem.severity] ?? 4;
    return rank > 0 && MISSING.has(problem.code) ? 1 : rank;
  };
  return [...problems].sort((a, b) => rank(a) - rank(b));
}
