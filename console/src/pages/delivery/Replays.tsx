// Delivering events again: a form, and how far the replays are.
import { useState } from "preact/hooks";
import { api, ApiError, sleep, url } from "../../api";
import { commandLine, curl } from "../../lib/delivery/commands";
import {
  isoOf,
  localOf,
  planQuery,
  planText,
  quickTimes,
  replayBody,
  replayCommand,
  whatText,
  type ReplayBody,
  type ReplayForm,
  type ReplayPlan,
} from "../../lib/delivery/replay";
import { percent, replayCounts, replayLine } from "../../lib/delivery/state";
import { counted } from "../../lib/words";
import {
  Button,
  Checkbox,
  Command,
  Dialog,
  Fault,
  Field,
  Note,
  number,
  say,
  Section,
  Select,
  Status,
  Table,
  Time,
  useAction,
  useResource,
  confirm,
  type Column,
  type Tone,
} from "../../ui";
import { mapWord, type Replay, type Target } from "./types";

const EVERY = 1500;

/** `waits` says why what is replayed waits, if something is in its way. */
export function Replays({ target, changed, waits }: { target: Target; changed(): void; waits?: string | null }) {
  const [asking, setAsking] = useState(false);
  const list = useResource(
    (signal) => api.get<{ data: Replay[] }>(`${target.path}/replays`, { signal }).then((answer) => answer.data),
    [target.path],
    EVERY,
  );
  const running = list.data?.filter((replay) => replay.state === "running") ?? [];
  return (
    <Section
      title="Replays"
      hint="A replay delivers stored events again, one replay after the other. New events go first."
      actions={
        target.write && (
          <Button kind="primary" icon="play" onClick={() => setAsking(true)} disabled={!target.active}>
            Replay events
          </Button>
        )
      }
    >
      {!target.active && <Note>It does not deliver now, so it accepts no replay. Enable it first.</Note>}
      {running.length > 0 && waits != null && <Note tone="warn">{waits}</Note>}
      {running.map((replay) => (
        <Running key={replay.id} replay={replay} />
      ))}
      <Table
        caption="Replays"
        columns={columnsOf(target, list.reload)}
        rows={list.data}
        rowKey={(replay) => String(replay.id)}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty="No replay waits, runs or ended recently"
      />
      {asking && (
        <Ask
          target={target}
          close={() => setAsking(false)}
          done={() => {
            setAsking(false);
            list.reload();
            changed();
          }}
        />
      )}
    </Section>
  );
}

function Running({ replay }: { replay: Replay }) {
  return (
    <div class="card">
      <label class="stack-tight">
        <span>{`Replay ${replay.id}: ${replayLine(replay)}`}</span>
        <progress class="progress" value={replay.progress} max={1}>
          {percent(replay.progress)}
        </progress>
      </label>
    </div>
  );
}

const TONES: Readonly<Record<Replay["state"], Tone>> = {
  waiting: "info",
  running: "info",
  done: "ok",
  cancelled: "off",
};

function columnsOf(target: Target, reload: () => void): readonly Column<Replay>[] {
  const cancel = (replay: Replay) =>
    confirm({
      title: `Cancel replay ${replay.id} of ${target.name}?`,
      body: <p>What it has delivered stays delivered: {counted(replay.delivered, "event")}.</p>,
      command:
        target.kind === "webhook"
          ? commandLine(["webhook", "replays"], [mapWord(target.map), target.word], { cancel: replay.id })
          : curl("DELETE", target.path + url`/replays/${replay.id}`),
      action: "Cancel the replay",
      danger: true,
      act: () => api.delete(target.path + url`/replays/${replay.id}`),
    }).then((was) => was && reload());
  return [
    { key: "id", title: "Replay", cell: (one) => one.id, sort: (one) => one.id },
    { key: "state", title: "State", cell: (one) => <Status tone={TONES[one.state]}>{one.state}</Status> },
    { key: "progress", title: "Finished", cell: (one) => percent(one.progress), align: "end" },
    { key: "delivered", title: "Delivered", cell: (one) => number(one.delivered), align: "end" },
    { key: "failed", title: "Failed", cell: (one) => number(one.failed), align: "end" },
    { key: "left", title: "Still wait", cell: left, align: "end" },
    { key: "missed", title: "Gone", cell: (one) => number(one.missed), align: "end", wide: true },
    {
      key: "what",
      title: "What",
      cell: (one) => <What replay={one} />,
      wide: true,
    },
    {
      key: "started",
      title: "Started",
      cell: (one) => <Time at={one.started_at} />,
      sort: (one) => one.started_at,
      wide: true,
    },
    {
      key: "actions",
      title: "",
      cell: (one) =>
        target.write && (one.state === "waiting" || one.state === "running") ? (
          <Button small kind="danger" onClick={() => cancel(one)}>
            Cancel
          </Button>
        ) : null,
      align: "end",
    },
  ];
}

/** Which events it has: since when, and their numbers. */
function What({ replay }: { replay: Replay }) {
  const { what, since, seqs } = whatText(replay);
  return (
    <span class="stack-none">
      <span>
        {what}
        {since !== null && (
          <>
            {" since "}
            <Time at={since} exact />
          </>
        )}
      </span>
      <span class="hint">{seqs}</span>
    </span>
  );
}

/** How many still wait, of how many. What has ended waits no more. */
function left(replay: Replay): string {
  const counts = replayCounts(replay);
  if (counts === null) return "–";
  const waits = replay.ended_at === null ? counts.left : 0;
  return `${number(waits)} of ${number(counts.total)}`;
}

const FROM: readonly { value: ReplayForm["from"]; label: string }[] = [
  { value: "since", label: "events since a time" },
  { value: "after", label: "events after one event" },
  { value: "events", label: "single events by their ids" },
  { value: "all", label: "all dead letters" },
];

function Ask({ target, close, done }: { target: Target; close(): void; done(): void }) {
  const hourAgo = () => localOf(new Date(Date.now() - 3_600_000));
  const [form, setForm] = useState<ReplayForm>(() => ({
    from: "since",
    since: hourAgo(),
    after: "",
    events: "",
    until: "",
    failedOnly: false,
  }));
  const { busy, error, run } = useAction();
  const set = (changes: Partial<ReplayForm>) => setForm((was) => ({ ...was, ...changes }));
  const made = replayBody(form);
  const begin = async () => {
    if (!("body" in made)) return;
    const well = await run(() => api.post(`${target.path}/replay`, made.body));
    if (!well) return;
    say(form.from === "events" ? "The events go out among the new ones." : "The replay has begun.");
    done();
  };
  return (
    <Dialog
      title={`Replay to ${target.name}`}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" onClick={begin} busy={busy} disabled={!("body" in made)}>
            Replay
          </Button>
        </>
      }
    >
      <Select
        label="What"
        value={form.from}
        onChange={(from) => set({ from, failedOnly: from === "all" || (form.failedOnly && from !== "events") })}
        options={FROM}
      />
      {form.from === "since" && <Since form={form} set={set} />}
      {form.from === "after" && (
        <Field label="Id of the event before the first" value={form.after} onInput={(after) => set({ after })} mono />
      )}
      {form.from === "events" && (
        <Field
          label="Ids of events"
          value={form.events}
          onInput={(events) => set({ events })}
          lines={3}
          mono
          hint="At most 100. They skip the filter."
        />
      )}
      {(form.from === "since" || form.from === "after") && (
        <>
          <Field
            label="Until (empty: now)"
            type="datetime-local"
            value={form.until}
            onInput={(until) => set({ until })}
          />
          <Checkbox
            label="Only what failed: dead letters"
            checked={form.failedOnly}
            onChange={(failedOnly) => set({ failedOnly })}
          />
        </>
      )}
      {form.from === "all" && <p class="hint">Each dead letter that the filter chooses is tried again.</p>}
      {"fault" in made ? <p class="hint">{made.fault}</p> : <Plan target={target} body={made.body} />}
      {"body" in made && <Command line={replayCommand(target.kind, mapWord(target.map), target.word, made.body)} />}
      <Fault error={error} />
    </Dialog>
  );
}

/** How long nothing may change before the node is asked. */
const CALM_MS = 400;

/** Says how many events the replay would have, before it is begun. */
function Plan({ target, body }: { target: Target; body: ReplayBody }) {
  const query = planQuery(body);
  const plan = useResource<ReplayPlan | null>(
    async (signal) => {
      if (query === null) return null;
      await sleep(CALM_MS, signal);
      const answer = await api.get<{ data: ReplayPlan }>(`${target.path}/replay`, { query, signal });
      return answer.data;
    },
    [target.path, JSON.stringify(query)],
  );
  if (query === null) return null;
  return (
    <div aria-live="polite">
      {plan.data != null && <Note>{planText(plan.data)}</Note>}
      {plan.data === undefined && plan.error === undefined && <p class="hint">Counting …</p>}
      <PlanFault error={plan.error} />
    </div>
  );
}

/** A node of an earlier release counts nothing; what the form has wrong is told. */
function PlanFault({ error }: { error: unknown }) {
  if (error instanceof ApiError && error.status === 405) return null;
  return <Fault error={error} />;
}

function Since({ form, set }: { form: ReplayForm; set(changes: Partial<ReplayForm>): void }) {
  const utc = isoOf(form.since);
  return (
    <>
      <Field
        label="Since, in your time zone"
        type="datetime-local"
        value={form.since}
        onInput={(since) => set({ since })}
        {...(utc === null ? {} : { hint: `${utc} in UTC` })}
      />
      <div class="row">
        {quickTimes(new Date()).map(({ label, at }) => (
          <Button key={label} small onClick={() => set({ since: localOf(at) })}>
            {label}
          </Button>
        ))}
      </div>
    </>
  );
}
