import { called, cluster } from "../../cluster";

/** How a node is called that the API names by its id: by its name, where the state of the cluster is known. */
export function nodeWord(id: number | null | undefined): string {
  if (id === null || id === undefined) return "no node";
  return called({ id, name: cluster.value?.members.find((member) => member.id === id)?.name });
}
