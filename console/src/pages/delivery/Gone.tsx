import { ApiError } from "../../api";
import { PageHead } from "../../ui";

/** Whether the node says that the map does not have it. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** In place of a page of something that the map does not have, or has no longer. */
export function Gone({ what, list }: { what: string; list: string }) {
  return (
    <PageHead title="Not found">
      The map has no such {what}: it was deleted, or the address is wrong. <a href={list}>All {what}s of the map</a>
    </PageHead>
  );
}
