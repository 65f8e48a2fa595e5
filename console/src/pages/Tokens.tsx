import { PageHead } from "../ui";
import { PortalLinkButton } from "./portal/PortalLink";
import type { MapPage } from "./props";
import { Apps } from "./tokens/Apps";
import { ClientTokens } from "./tokens/ClientTokens";
import { Issuers } from "./tokens/Issuers";
import { MapTokens } from "./tokens/MapTokens";

/** Who may use a map: its tokens, issuers of client tokens, and credentials of Pusher clients. */
export function Tokens({ map }: MapPage) {
  return (
    <>
      <PageHead title="Tokens and issuers" actions={<PortalLinkButton map={map} />}>
        {map.slug}
      </PageHead>
      <MapTokens map={map} />
      <Issuers map={map} />
      <ClientTokens map={map} />
      <Apps map={map} />
    </>
  );
}
