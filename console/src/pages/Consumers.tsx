import { route } from "../router";
import { ConsumerDetail } from "./consumers/Detail";
import { EditConsumer, NewConsumer } from "./consumers/Edit";
import { ConsumerList } from "./consumers/List";
import { useAccess } from "./delivery/access";
import type { MapPage } from "./props";

/** The consumers of a map: the list, a form for a new one, or one of them. */
export function Consumers({ map, rest }: MapPage) {
  const [first, part] = rest;
  const { commands } = useAccess();
  const tab = route.value.query.get("tab") ?? (commands ? "reading" : "dead-letters");
  // A consumer may be called "new", so the form for a new one stands below a name that none can have.
  const isNew = first === "+";
  return (
    <div class="stack">
      {first === undefined && <ConsumerList map={map} />}
      {isNew && <NewConsumer map={map} />}
      {first !== undefined && !isNew && part === "edit" && <EditConsumer key={first} map={map} name={first} />}
      {first !== undefined && !isNew && part !== "edit" && (
        <ConsumerDetail key={first} map={map} name={first} part={tab} />
      )}
    </div>
  );
}
