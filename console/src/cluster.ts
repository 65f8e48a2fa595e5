// The state of the cluster, which the frame reads again and again while the page is visible.
import { signal } from "@preact/signals";
import { api, type Schemas } from "./api";

export type ClusterStatus = Schemas["ClusterStatus"];
export type Member = ClusterStatus["members"][number];
export type Problem = ClusterStatus["problems"][number];

export interface Sample {
  at: number;
  committed: number;
}

/** How often it is read, in milliseconds. */
export const EVERY = 2500;
/** How long an answer is awaited, in milliseconds: a node waits a second at most for the others. */
export const ANSWER_MS = 3000;
/** The samples that are kept: some eight minutes. */
const SAMPLES = 200;

/** The last state that a node told. */
export const cluster = signal<ClusterStatus | null>(null);
/** When it was told (Unix milliseconds). */
export const clusterAt = signal<number | null>(null);
/** Why there is no newer one. */
export const clusterError = signal<unknown>(null);
/** How far the log was, the oldest first. */
export const samples = signal<readonly Sample[]>([]);

export async function readCluster(stop: AbortSignal): Promise<ClusterStatus> {
  try {
    const options = { signal: stop, limit: ANSWER_MS };
    const { data } = await api.get<{ data: ClusterStatus }>("/api/cluster/status", options);
    cluster.value = data;
    clusterAt.value = Date.now();
    clusterError.value = null;
    if (data.committed_index !== undefined) {
      samples.value = [...samples.peek().slice(1 - SAMPLES), { at: Date.now(), committed: data.committed_index }];
    }
    return data;
  } catch (error) {
    if (!stop.aborted) clusterError.value = error;
    throw error;
  }
}

/** How a member is called: by its name, or else by its id. */
export function called(node: { id: number; name?: string | null | undefined }): string {
  return node.name ?? `node ${node.id}`;
}

/** How a command line calls a member: names that several have are refused. */
export function inCommand(node: Member): string {
  const same = cluster.peek()?.members.filter((other) => other.name === node.name).length ?? 0;
  return node.name && same === 1 ? node.name : String(node.id);
}
