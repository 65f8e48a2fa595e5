import { api } from "../../api";
import { called, inCommand, type ClusterStatus, type Member } from "../../cluster";
import { Button, confirm, say, shell, type Question } from "../../ui";

type Operation = "drain" | "undrain" | "transfer-leader" | "step-down" | "promote" | "demote" | "snapshot" | "remove";

interface Does {
  operation: Operation;
  title: string;
  /** What it means for clients, and whether it can be taken back. */
  what: string;
  /** What may be done in spite of what speaks against it. */
  force?: { label: string; hint: string };
  danger?: boolean;
  needsName?: boolean;
  /** It is about the leader, whichever node that is. */
  withoutNode?: boolean;
}

const DOES: readonly Does[] = [
  {
    operation: "drain",
    title: "Drain",
    what: "Its clients and webhooks go to the other nodes, and it takes no new ones until it is undrained, also after a restart. It stays a member and keeps its vote.",
    force: { label: "Even if no other node is left", hint: "Then clients have nowhere to go." },
  },
  { operation: "undrain", title: "Undrain", what: "It takes clients and webhooks again." },
  {
    operation: "transfer-leader",
    title: "Make leader",
    what: "It takes the lead once it has the whole log. Publishers wait for a moment; nothing is lost.",
  },
  {
    operation: "step-down",
    title: "Hand over the lead",
    what: "The most suitable other node takes the lead. Publishers wait for a moment; nothing is lost.",
    withoutNode: true,
  },
  { operation: "promote", title: "Give a vote", what: "It counts for majorities from then on." },
  {
    operation: "demote",
    title: "Take its vote",
    what: "It goes on as a learner: it has all data, and counts for no majority.",
  },
  {
    operation: "snapshot",
    title: "Make state durable",
    what: "Its state is written to its disk, and the log before it is removed. Clients notice nothing.",
  },
  {
    operation: "remove",
    title: "Remove",
    what: "It is drained and then removed for good. To come back it needs an empty data directory, and joins as a new node.",
    force: { label: "Do not wait for its clients", hint: "For a node that will not come back." },
    danger: true,
    needsName: true,
  },
];

/** What can be done with a node. */
export function NodeActions({ node, status }: { node: Member; status: ClusterStatus }) {
  const why = node.state === "unreachable" ? `${called(node)} does not answer.` : null;
  const all = DOES.filter((one) => fits(one.operation, node, status));
  const not = why === null ? [] : all.filter((one) => NEED_IT.has(one.operation)).map((one) => one.title);
  return (
    <>
      <div class="row">
        {all.map((one) => (
          <Button
            key={one.operation}
            kind={one.danger === true ? "danger" : "plain"}
            onClick={() => ask(one, node)}
            disabled={not.includes(one.title)}
            {...(not.includes(one.title) && why !== null ? { title: why } : {})}
          >
            {one.title}
          </Button>
        ))}
      </div>
      {not.length > 0 && (
        <p class="hint">
          {why} It has to for: {not.join(", ")}.
        </p>
      )}
    </>
  );
}

/** An operation that can be done with a node now, by its name; null if it cannot. */
export function offered(
  operation: string,
  node: Member,
  status: ClusterStatus,
): { title: string; danger: boolean; ask(): void } | null {
  const does = DOES.find((one) => one.operation === operation);
  if (does === undefined || !fits(does.operation, node, status)) return null;
  return { title: does.title, danger: does.danger === true, ask: () => ask(does, node) };
}

/** What a node does by itself: it must answer. */
const NEED_IT: ReadonlySet<Operation> = new Set(["drain", "transfer-leader", "promote", "snapshot"]);

/** Whether an operation would change something. */
function fits(operation: Operation, node: Member, status: ClusterStatus): boolean {
  const drained = node.state === "drained" || node.state === "draining" || node.drained_since_ms != null;
  if (operation === "drain") return !drained;
  if (operation === "undrain") return drained;
  if (operation === "transfer-leader") return node.voter === true && node.id !== status.leader_id;
  if (operation === "step-down") return node.id === status.leader_id && status.members.length > 1;
  if (operation === "promote") return node.voter !== true;
  if (operation === "demote") return node.voter === true;
  return true;
}

function ask(does: Does, node: Member): void {
  const name = called(node);
  const line = ["waypost cluster", does.operation, does.withoutNode === true ? "" : shell(inCommand(node))]
    .join(" ")
    .trim();
  const question: Question = {
    title: `${does.title}: ${name}`,
    body: <p>{does.what}</p>,
    command: (force) => (force ? `${line} --force` : line),
    action: `${does.title}: ${name}`,
    danger: does.danger === true,
    act: async (force) => {
      const of = does.withoutNode === true ? {} : { node: node.id };
      await api.post(`/api/cluster/${does.operation}`, does.force === undefined ? of : { ...of, force });
      say(`Done: ${does.title.toLowerCase()}, ${name}`);
    },
  };
  if (does.force !== undefined) question.check = does.force;
  if (does.needsName === true) question.type = name;
  confirm(question).catch(() => {});
}
