import { useState } from "preact/hooks";
import { api, ApiError, url } from "../../api";
import { curl } from "../../lib/delivery/commands";
import { Button, Code, Empty, Fault, Field, Loading, say, Section, useAction, useResource } from "../../ui";
import { fromRule, isMatch, nameDecides, toRule, type ChannelRule, type Draft } from "./rule";
import { RuleFields } from "./RuleFields";

/** The channel rules, in order: the first that matches a subject counts. */
export function Rules({ map }: { map: string }) {
  const path = url`/api/maps/${map}/channel-rules`;
  const stored = useResource((signal) => api.get<{ data: ChannelRule[] }>(path, { signal }), [path]);
  return (
    <Section
      title="Channel rules"
      hint="What holds for some subjects. The first rule that matches counts; what it leaves open, the subject's name decides."
    >
      <Fault error={stored.error} retry={stored.reload} />
      {stored.data === undefined && stored.error === undefined && <Loading />}
      {stored.data !== undefined && (
        <Editor key={JSON.stringify(stored.data.data)} path={path} rules={stored.data.data} onSaved={stored.reload} />
      )}
    </Section>
  );
}

let numbers = 0;
const numbered = (rule: ChannelRule): Draft => ({ ...fromRule(rule), id: ++numbers });

function Editor(props: { path: string; rules: readonly ChannelRule[]; onSaved(): void }) {
  const [drafts, setDrafts] = useState<readonly Draft[]>(() => props.rules.map(numbered));
  const [subject, setSubject] = useState("");
  const { busy, error, run } = useAction();
  const made = drafts.map(toRule);
  const broken = made.some((one) => Object.keys(one.faults).length > 0);
  const rules = made.map((one) => one.rule);
  const changed = JSON.stringify(rules) !== JSON.stringify(props.rules.map(fromRule).map((one) => toRule(one).rule));
  const matched = subject === "" ? -1 : drafts.findIndex((one) => isMatch(one.match, subject));
  // A rule that was just added is not wrong before anything is typed, and has the focus.
  const [added, setAdded] = useState<ReadonlySet<number>>(new Set());
  const [last, setLast] = useState<number | null>(null);
  const touch = (id: number) => setAdded((was) => new Set([...was].filter((one) => one !== id)));
  const add = () => {
    const draft = numbered({ match: "" });
    setDrafts((was) => [...was, draft]);
    setAdded((was) => new Set(was).add(draft.id));
    setLast(draft.id);
  };
  const move = (from: number, to: number) =>
    setDrafts((was) => {
      const next = [...was];
      next.splice(to, 0, ...next.splice(from, 1));
      return next;
    });
  const save = () =>
    run(async () => {
      // The whole list is replaced, so what somebody else has changed meanwhile would be undone unseen.
      const now = await api.get<{ data: ChannelRule[] }>(props.path);
      if (JSON.stringify(now.data) !== JSON.stringify(props.rules)) {
        throw new Error(
          "Somebody else has changed the rules since you opened this page. Load it again, then change them.",
        );
      }
      await api.put(props.path, rules);
      say("The channel rules are saved");
      props.onSaved();
    });
  const refused = (index: number) =>
    error instanceof ApiError
      ? error.faults.filter((one) => one.field.startsWith(`${index}.`)).map((one) => one.message)
      : [];
  return (
    <div class="stack">
      {drafts.length > 0 && (
        <div class="which-rule">
          <Field
            label="Which rule counts for a subject?"
            value={subject}
            onInput={setSubject}
            placeholder="orders-7"
            hint={subject === "" ? undefined : matched < 0 ? `None. ${nameDecides(subject)}` : `Rule ${matched + 1}.`}
            mono
          />
        </div>
      )}
      {drafts.length === 0 && <Empty title="No rules: the names of subjects decide." />}
      {drafts.map((draft, i) => (
        <RuleFields
          key={draft.id}
          number={i + 1}
          draft={draft}
          matched={i === matched}
          faults={added.has(draft.id) ? {} : (made[i]?.faults ?? {})}
          focused={draft.id === last}
          refused={refused(i)}
          onChange={(changes) => {
            touch(draft.id);
            setDrafts((was) => was.map((one, j) => (j === i ? { ...one, ...changes } : one)));
          }}
          onUp={i > 0 ? () => move(i, i - 1) : undefined}
          onDown={i < drafts.length - 1 ? () => move(i, i + 1) : undefined}
          onRemove={() => setDrafts((was) => was.filter((_, j) => j !== i))}
        />
      ))}
      <Fault error={error} />
      {changed && !broken && <Code text={curl("PUT", props.path, rules)} label="The same with curl" />}
      <div class="row">
        <Button icon="plus" disabled={drafts.length >= 64} onClick={add}>
          Add a rule
        </Button>
        <Button kind="primary" busy={busy} disabled={!changed || broken} onClick={save}>
          Save rules
        </Button>
        <Button disabled={!changed} onClick={() => setDrafts(props.rules.map(numbered))}>
          Undo changes
        </Button>
      </div>
    </div>
  );
}
