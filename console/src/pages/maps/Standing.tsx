import { troublesOf, type Standings } from "../../lib/maps/standings";
import { href } from "../../router";
import { Status } from "../../ui";

/** How the webhooks and consumers of a map stand: what is worth a look, with a link to it. */
export function Standing({ map, standings }: { map: string; standings: Standings | null }) {
  if (standings === null || (standings.webhooks === null && standings.consumers === null)) {
    return <span class="muted">–</span>;
  }
  const troubles = troublesOf(standings);
  const total = (standings.webhooks?.total ?? 0) + (standings.consumers?.total ?? 0);
  if (troubles.length === 0) {
    return total === 0 ? <span class="muted">–</span> : <Status tone="ok">all well</Status>;
  }
  return (
    <div class="stack-none">
      {troubles.map((trouble) => (
        <a key={trouble.text} href={href(["maps", map, trouble.of])}>
          <Status tone={trouble.tone}>{trouble.text}</Status>
        </a>
      ))}
    </div>
  );
}
