// The events that a webhook or a consumer has given up: what they were, why, and what to do with them.
import { useState } from "preact/hooks";
import { api, ApiError, explain, url } from "../../api";
import { commandLine, curl } from "../../lib/delivery/commands";
import { classesOf, isEmpty, matching, type DeadLetterFilter } from "../../lib/delivery/dead-letters";
import { classWords } from "../../lib/delivery/state";
import { counted } from "../../lib/words";
import {
  Button,
  confirm,
  Dialog,
  Empty,
  Facts,
  Fault,
  Field,
  JsonTree,
  Note,
  number,
  say,
  Section,
  Select,
  Table,
  Time,
  useAction,
  usePages,
  type Column,
} from "../../ui";
import { EventId } from "./EventId";
import { mapWord, type DeadLetter, type Target } from "./types";

const NO_FILTER: DeadLetterFilter = { text: "", class: "" };

export function DeadLetters({ target, total, changed }: { target: Target; total: number; changed(): void }) {
  const list = usePages<DeadLetter>(`${target.path}/dead-letters`, { limit: 200 });
  const [filter, setFilter] = useState(NO_FILTER);
  const [open, setOpen] = useState<DeadLetter | null>(null);
  const letters = matching(list.items, filter);
  const again = () => {
    list.reload();
    changed();
  };
  return (
    <Section
      title="Dead letters"
      hint="Events that were given up. They stay until they are delivered again or removed; the newest 10,000 are kept."
      actions={
        target.write &&
        list.items.length > 0 && (
          <Many target={target} letters={letters} filtered={!isEmpty(filter)} total={total} done={again} />
        )
      }
    >
      {list.items.length > 0 && <Filter letters={list.items} filter={filter} onChange={setFilter} more={list.more} />}
      <Table
        caption="Dead letters"
        columns={columnsOf(target, setOpen)}
        rows={letters}
        rowKey={(letter) => letter.id}
        onOpen={(letter) => setOpen(letter)}
        selected={open?.id ?? null}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={isEmpty(filter) ? "No dead letters" : "No dead letter that is shown matches"}
        more={list.more ? list.next : undefined}
      />
      {open !== null && <One target={target} letter={open} close={() => setOpen(null)} done={again} />}
    </Section>
  );
}

function columnsOf(target: Target, open: (letter: DeadLetter) => void): readonly Column<DeadLetter>[] {
  return [
    {
      key: "at",
      title: "Given up",
      cell: (one) => (
        <button type="button" class="opener" aria-haspopup="dialog" onClick={() => open(one)}>
          <Time at={one.given_up_at} />
        </button>
      ),
      sort: (one) => one.given_up_at,
    },
    { key: "type", title: "Type", cell: (one) => one.type, sort: (one) => one.type },
    { key: "why", title: "Why", cell: (one) => why(one), sort: (one) => one.class },
    {
      key: "attempts",
      title: "Attempts",
      cell: (one) => number(one.attempts),
      sort: (one) => one.attempts,
      align: "end",
      wide: true,
    },
    { key: "event", title: "Event", cell: (one) => <EventId map={target.map} id={one.id} />, wide: true },
  ];
}

function why(letter: DeadLetter): string {
  const words = classWords(letter.class);
  return letter.status === null ? words : `${words} (${letter.status})`;
}

function Filter(props: {
  letters: readonly DeadLetter[];
  filter: DeadLetterFilter;
  onChange(filter: DeadLetterFilter): void;
  more: boolean;
}) {
  const { filter, onChange } = props;
  const classes = classesOf(props.letters).map(({ name, count }) => ({
    value: name,
    label: `${classWords(name)} (${count})`,
  }));
  return (
    <div class="row row-bottom">
      <Field
        label="Find"
        type="search"
        value={filter.text}
        onInput={(text) => onChange({ ...filter, text })}
        placeholder="type, id, error …"
      />
      <Select
        label="Why"
        value={filter.class}
        onChange={(name) => onChange({ ...filter, class: name })}
        options={[{ value: "", label: "any reason" }, ...classes]}
      />
      {props.more && !isEmpty(filter) && <p class="hint">Only what is shown so far is searched.</p>}
    </div>
  );
}

/** What is done with all, or with those that the filter shows. */
function Many(props: {
  target: Target;
  letters: readonly DeadLetter[];
  filtered: boolean;
  total: number;
  done(): void;
}) {
  const { target, letters, filtered, done } = props;
  const words = [target.kind, "dead-letters"];
  const things = [mapWord(target.map), target.word];
  const all = props.total === 1 ? "the one dead letter" : `all ${counted(props.total, "dead letter")}`;
  const retry = () =>
    confirm({
      title: `Deliver ${all} again?`,
      body: (
        <p>
          They are tried again one after the other; new events go first. Those that the filter of {target.name} does not
          choose stay.
        </p>
      ),
      command:
        target.kind === "webhook"
          ? commandLine([...words, "retry"], things)
          : commandLine(["consumer", "replay"], things, { failed: true }),
      action: "Deliver again",
      act: () => api.post(`${target.path}/dead-letters/retry`, {}),
    }).then((was) => was && (say("They are delivered again: see the replays."), done()));
  const remove = () =>
    confirm({
      title: `Remove ${all} of ${target.name}?`,
      body: (
        <p>
          The events stay in the map's history as long as it keeps them, but nobody knows then that they were not
          delivered.
        </p>
      ),
      command:
        target.kind === "webhook"
          ? commandLine([...words, "purge"], things)
          : curl("DELETE", `${target.path}/dead-letters`),
      action: "Remove all",
      danger: true,
      act: () => api.delete(`${target.path}/dead-letters`),
    }).then((was) => was && done());
  if (filtered) return <Some target={target} letters={letters} done={done} />;
  return (
    <>
      <Button onClick={retry} disabled={!target.active} title={target.active ? "" : "Enable it first"}>
        Deliver all again
      </Button>
      <Button kind="danger" onClick={remove}>
        Remove all
      </Button>
    </>
  );
}

/** Does something with each of the dead letters that are shown, one after the other, and says how far it is. */
function Some({ target, letters, done }: { target: Target; letters: readonly DeadLetter[]; done(): void }) {
  const { busy, error, run } = useAction();
  const [at, setAt] = useState(0);
  const each = async (act: (path: string) => Promise<unknown>) => {
    setAt(0);
    for (const [index, letter] of letters.entries()) {
      try {
        await act(target.path + url`/dead-letters/${letter.id}`);
      } catch (failed) {
        // It is gone already: somebody else was faster.
        if (!(failed instanceof ApiError && failed.status === 404)) throw failed;
      }
      setAt(index + 1);
    }
  };
  const retry = () => run(() => each((path) => api.post(`${path}/retry`))).then(done);
  const remove = () =>
    confirm({
      title: `Remove ${counted(letters.length, "dead letter")} of ${target.name}?`,
      body: <p>Those that the filter shows. Their events stay in the map's history as long as it keeps them.</p>,
      command:
        letters
          .slice(0, 3)
          .map((letter) => removeLine(target, letter))
          .join("\n") + (letters.length > 3 ? "\n…" : ""),
      action: `Remove ${number(letters.length)}`,
      danger: true,
      act: () => each((path) => api.delete(path)),
    }).then(done);
  return (
    <>
      {busy && <span role="status">{`${at} of ${letters.length}`}</span>}
      {error !== undefined && <span class="fault">{`It ended after ${at}: ${explain(error)}`}</span>}
      <Button onClick={retry} busy={busy} disabled={!target.active || letters.length === 0}>
        {`Deliver these ${number(letters.length)} again`}
      </Button>
      <Button kind="danger" onClick={remove} disabled={busy || letters.length === 0}>
        {`Remove these ${number(letters.length)}`}
      </Button>
    </>
  );
}

function removeLine(target: Target, letter: DeadLetter): string {
  if (target.kind === "consumer") return curl("DELETE", target.path + url`/dead-letters/${letter.id}`);
  return commandLine(["webhook", "dead-letters", "purge"], [mapWord(target.map), target.word, letter.id]);
}

function One(props: { target: Target; letter: DeadLetter; close(): void; done(): void }) {
  const { target, letter, close, done } = props;
  const { busy, error, run } = useAction();
  const path = target.path + url`/dead-letters/${letter.id}`;
  const end = (was: boolean) => {
    if (!was) return;
    close();
    done();
  };
  const retry = () =>
    run(() => api.post(`${path}/retry`)).then((was) => {
      if (was) say("It is delivered again among the new events.");
      end(was);
    });
  const remove = () =>
    confirm({
      title: `Remove the dead letter of ${letter.type}?`,
      body: <p>The event {letter.id} stays in the map's history as long as it keeps it.</p>,
      command: removeLine(target, letter),
      action: "Remove",
      danger: true,
      act: () => api.delete(path),
    }).then(end);
  return (
    <Dialog
      title={letter.type}
      onClose={close}
      wide
      actions={
        target.write ? (
          <>
            <Button kind="danger" onClick={remove}>
              Remove
            </Button>
            <Button kind="primary" onClick={retry} busy={busy} disabled={!target.active}>
              Deliver again
            </Button>
          </>
        ) : undefined
      }
    >
      <Facts
        facts={[
          ["Event", <EventId map={target.map} id={letter.id} />],
          ["Attempts", number(letter.attempts)],
          ["First attempt", <Time at={letter.first_attempt_at ?? null} exact />],
          ["Given up", <Time at={letter.given_up_at} exact />],
        ]}
      />
      <Note tone="bad">
        <p>{why(letter)}</p>
        <p>{letter.error}</p>
      </Note>
      {letter.event === null ? (
        <Empty title="The event is no longer kept" />
      ) : (
        <JsonTree value={letter.event} label={`Event ${letter.id}`} />
      )}
      <Fault error={error} />
    </Dialog>
  );
}
