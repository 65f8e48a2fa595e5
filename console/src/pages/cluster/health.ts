// How well the cluster is, in words: how many voters may be lost before writes stop, and what is worst.
import { called, type ClusterStatus, type Problem } from "../../cluster";
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
/** Problems that stand right behind the critical ones, in red: a node is missing. */
const MISSING = new Set(["unreachable", "cut_off", "half_reachable"]);

/** The tone of a problem. A node that does not answer is red, whatever the cluster makes of it. */
export function toneOf(problem: Pick<Problem, "severity" | "code">): Tone {
  if (problem.severity === "critical" || MISSING.has(problem.code)) return "bad";
  return problem.severity === "warning" ? "warn" : "info";
}

/** The worst first; among equals the order of the node's answer. */
export function worstFirst<P extends Pick<Problem, "severity" | "code">>(problems: readonly P[]): P[] {
  const rank = (problem: P) => {
    const rank = RANKS[problem.severity] ?? 4;
    return rank > 0 && MISSING.has(problem.code) ? 1 : rank;
  };
  return [...problems].sort((a, b) => rank(a) - rank(b));
}
