import { called, cluster } from "../../cluster";

/** How a node is called: by the name that the answer has of it, or that the state of the cluster has. */
export function nodeWord(id: number | null | undefined, name?: string | null): string {
  if (id === null || id === undefined) return "no node";
  return called({ id, name: name ?? cluster.value?.members.find((member) => member.id === id)?.name });
}
