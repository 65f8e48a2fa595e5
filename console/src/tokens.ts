// The names of a map's tokens: answers have their ids alone.
import { api, url, type Schemas } from "./api";
import { can } from "./session";
import { useResource } from "./ui";

/** Says a token in words: by its name if that is known, or by the beginning of its id. */
export function useTokenNames(map: string): (id: string) => string {
  const names = useResource(
    async (signal) => {
      if (!can("manage")) return new Map<string, string>();
      const { data } = await api.get<{ data: Schemas["Token"][] }>(url`/api/maps/${map}/tokens`, { signal });
      return new Map(data.flatMap((token) => (token.name ? [[token.id, token.name] as const] : [])));
    },
    [map],
  );
  return (id) => names.data?.get(id) ?? id.slice(0, 8);
}
