import { rateText } from "../../lib/delivery/rates";

/** A rate that comes from two looks: until the second one it is being measured. */
export function Rate({ rate }: { rate: number | undefined }) {
  if (rate !== undefined) return <>{rateText(rate)}</>;
  return (
    <span class="muted" title="It is being measured: the next look shows it.">
      …
    </span>
  );
}
