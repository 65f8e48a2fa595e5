// Made by generate.mjs from docs/openapi.yaml, whose SHA-256 is 48b9503525cd586eabd46ebe0aae15ae59faebe5a3a5d8a0163a2d1b74845545.

export interface paths {
    "/": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What this is, and where to go on.
         * @description A browser, which accepts text/html, gets a page. Everything else gets JSON with links.
         */
        get: operations["start"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin-tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The tokens of the cluster, without their text. Admin token.
         * @description Only with the admin token.
         */
        get: operations["listAdminTokens"];
        put?: never;
        /**
         * Create a token of the cluster, which may do less than the admin token; the answer shows its text once. Admin token.
         * @description With `read` it may read the status of the cluster and the list of maps, with `operate` carry out the operations of the cluster (drain, transfer and the others). Everything else needs the admin token.
         */
        post: operations["createAdminToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin-tokens/{token}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                token: string;
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a token of the cluster. Admin token.
         * @description Only with the admin token. The request is answered when no node in reach accepts the token any more.
         */
        delete: operations["revokeAdminToken"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The audit log of all nodes, the newest lines first. Admin token.
         * @description A line for each change through the admin and manage APIs and for each refusal there. Each node answers from its file (`audit.file`) and from the files beside it to which it was renamed, whose names are its name with `.` or `-` and a number or a date behind it; compressed ones are not read. Of the time that is asked for it reads the newest 64 files, 16 MiB at the end of each and 32 MiB in all, so `after` and `until` lead to older files. Without a file it answers from the newest lines that it has in memory since it started, at most 4,096. All nodes are asked, for three seconds at most.
         */
        get: operations["readAuditLog"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Exchange a map's token for a client token of 24 hours, which ends with it.
         * @description For tools that expect such a login. The client token has the scopes of the map's token without manage, and it ends when that token is revoked.
         */
        post: operations["logIn"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/cluster/{operation}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Operate the cluster, through any node. Admin token.
         * @description `add`: give the member at `address` its vote, or answer in `run` how to start it. `remove`: drain `node`, then remove it for good (`force`: without waiting for its clients). `promote`, `demote`: give `node` a vote, or take it away. `drain`: `node` serves no clients and delivers no webhooks until `undrain`, also after a restart (`force`: even if no other node is left). `transfer-leader`: make `node`, or the best node, the leader, once it has the whole log; if it does not take the lead in time, the answer is 503 `unavailable`, and the present leader leads on. `step-down`: make another node than the present leader lead. `snapshot`: checkpoint and purge on `node`, or on all nodes. `restore` is always refused: a restore is done where the new cluster begins. Repeating an operation has no further effect. Refused with 409 and a hint: `last_voter`, `would_lose_majority`, `learner`, `node_unreachable`, `node_behind`, `last_serving`, `no_successor`, `restore_offline`, `ambiguous_node` (several nodes have the name or address: `candidates` lists them); 404: `unknown_node`; 503 without a leader. The answer says which node the operation was about: its id, name and address.
         */
        post: operations["operate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/cluster/backup": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The state of the running cluster as a file, streamed from this node. Admin token.
         * @description The backup is consistent and has everything that was acknowledged before the request. Without a majority it has what this node knows (`waypost-backup-current: false`). Checksums detect a backup whose stream was cut, and a keyed hash proves which cluster it is from. `waypost restore` makes a new cluster from it.
         */
        get: operations["backup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/cluster/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The cluster as this node sees it. Admin token.
         * @description Needs the admin token, or a token of the cluster with the scope read. A node that is cut off answers too, with what it knows.
         */
        get: operations["clusterStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The maps by id, a page at a time. Admin token.
         * @description Only with the admin token, or with a token of the cluster that has the scope read.
         */
        get: operations["listMaps"];
        put?: never;
        /**
         * Create a map; the answer shows its token once. Admin token.
         * @description Only with the admin token. Limits and retention that are left out are those of new maps in the configuration. The first token has all scopes. The slug waypost-system is the system map's, which has the operator events (docs/operations/operator-events.md).
         */
        post: operations["createMap"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * One map with its limits and its retention.
         * @description Needs the scope manage.
         */
        get: operations["showMap"];
        put?: never;
        post?: never;
        /**
         * Delete a map with its events and tokens; its sockets close. Admin token.
         * @description Only with the admin token. The request is answered when every node in reach of a majority has applied it; a second one is answered 404. The system map can't be deleted.
         */
        delete: operations["deleteMap"];
        options?: never;
        head?: never;
        /**
         * Change a map; absent fields stay. Slug, limits and retention need the admin token.
         * @description Needs the scope manage. The answer lists in `warnings` which promises of the map's webhooks the new settings break.
         */
        patch: operations["updateMap"];
        trace?: never;
    };
    "/api/maps/{map}/channel-rules": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The channel rules of the map.
         * @description Needs the scope manage. A map without rules has an empty list.
         */
        get: operations["channelRules"];
        /**
         * Replace all channel rules.
         * @description The first rule that matches a subject counts. What it leaves open, the subject's name decides. Subjects that begin with `private-`, `presence-`, `cache-` or `#server-to-user-` are ephemeral; all others are durable, and their events are kept as long as the map's retention keeps them. The map's own subject is always durable. A rule can only keep less than the map does. Events beyond its `events` or `bytes` are removed some 5 to 20 seconds after they came, so live readers get them all. Until then there may be up to 256 events more.
         */
        put: operations["setChannelRules"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/client-tokens/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Revoke client tokens (JWTs) by their id, or those about somebody that were issued before now.
         * @description The request is answered when every node in reach of a majority has applied it; sockets close within a second.
         */
        post: operations["revokeClientTokens"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/connections": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The connections of the map's clients on all nodes, by id.
         * @description Needs the scope manage. Sockets and event streams, and the sessions of long polls; readers of consumers are not among them. A connection belongs to a map by its token or by a subscription, so a socket that the admin opened may belong to several. All nodes are asked, for three seconds at most. Ids are in no order of time, and name a connection only as long as it lives.
         */
        get: operations["listConnections"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/connections/{connection}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @example 3-000000000000a7 */
                connection: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Close a connection of the map, so that its client connects again.
         * @description Needs the scope manage. A WebSocket is closed with 1012, one of the Pusher protocol with 4200, an event stream ends, and a long poll gets 410: clients come back and resume. To keep a client out, revoke its token first. A connection of another map answers as an unknown one, with `unknown_connection`. 503 `unknown_outcome`: its node did not answer; repeat the request.
         */
        delete: operations["closeConnection"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/connections/closed": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The connections that nodes closed lately because their clients read too slowly, the newest first.
         * @description Needs the scope manage. Each is shown as it was when it was closed. A worker thread of a node remembers the last 64 of a map and 256 of all maps, and begins to remember no more than 64 in a second; they are forgotten when the process ends. All nodes are asked, for three seconds at most.
         */
        get: operations["listClosedConnections"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The consumers of a map, by name.
         * @description Needs the scope manage.
         */
        get: operations["listConsumers"];
        put?: never;
        /**
         * Create a consumer.
         * @description A name is taken once in a map (409 `name_taken`). A map has at most 100 consumers.
         */
        post: operations["createConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * One consumer, with its lag.
         * @description Needs the scope manage.
         */
        get: operations["showConsumer"];
        /**
         * Change a consumer; absent fields stay.
         * @description Needs the scope manage. The same as PATCH. The name cannot be changed.
         */
        put: operations["putConsumer"];
        post?: never;
        /**
         * Delete a consumer with its dead letters.
         * @description Needs the scope manage. Readers are told with the code consumer_not_found.
         */
        delete: operations["deleteConsumer"];
        options?: never;
        head?: never;
        /**
         * Change a consumer; absent fields stay.
         * @description Needs the scope manage. The name cannot be changed.
         */
        patch: operations["updateConsumer"];
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/ack": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Acknowledge events (scope subscribe).
         * @description The answer comes when a majority of the cluster has it. From then on the events never come again.
         */
        post: operations["acknowledge"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * Events that were given up, in the order of seq.
         * @description Needs the scope manage. A page ends at `limit` dead letters or at about 4 MiB.
         */
        get: operations["listDeadLettersOfConsumer"];
        put?: never;
        post?: never;
        /**
         * Remove all dead letters.
         * @description Needs the scope manage. The events stay in the stream.
         */
        delete: operations["purgeDeadLettersOfConsumer"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/dead-letters/{event}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * One dead letter.
         * @description Needs the scope manage.
         */
        get: operations["showDeadLetterOfConsumer"];
        put?: never;
        post?: never;
        /**
         * Remove one dead letter.
         * @description Needs the scope manage. The event stays in the stream.
         */
        delete: operations["deleteDeadLetterOfConsumer"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/dead-letters/{event}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deliver one dead letter again.
         * @description Needs the scope manage. The dead letter goes when the event was acknowledged.
         */
        post: operations["retryDeadLetterOfConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/dead-letters/retry": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deliver all dead letters again, or those since a time or an event.
         * @description Needs the scope manage. It is a replay of the dead letters, with progress.
         */
        post: operations["retryDeadLettersOfConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/extend": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Keep events for longer (scope subscribe).
         * @description An event whose hand-over has ended already is among `unknown`.
         */
        post: operations["extendEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/nack": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Refuse events, which are handed over again (scope subscribe).
         * @description It uses up one attempt. After the last one an event becomes a dead letter.
         */
        post: operations["refuseEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/pull": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take events (scope subscribe).
         * @description All readers of a consumer share its events. One reader has an event alone for `visibility_ms`; if it does not acknowledge it, another reader gets it.
         */
        post: operations["pull"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/replay": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * How many events a replay would have now; nothing is begun.
         * @description Needs the scope manage. The parameters are the members of the replay's body; one of since and after, or neither if `failed_only` is true.
         */
        get: operations["planReplayOfConsumer"];
        put?: never;
        /**
         * Deliver events again.
         * @description Delivers a range of the map's events (`since` a time, `after` an event, or `failed_only`), until its present end or a time. Or it delivers single events by their ids: these are not a replay with progress, and the answer has `events` and their range.
         */
        post: operations["replayOfConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/replays": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * Replays that wait, run or ended recently, newest first.
         * @description Needs the scope manage. Replays of one consumer run one after the other.
         */
        get: operations["listReplaysOfConsumer"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/replays/{replay}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
            };
            cookie?: never;
        };
        /**
         * One replay.
         * @description Needs the scope manage.
         */
        get: operations["showReplayOfConsumer"];
        put?: never;
        post?: never;
        /**
         * Stop a replay; what it delivered stays delivered.
         * @description Needs the scope manage. A replay that has ended stays as it is.
         */
        delete: operations["cancelReplayOfConsumer"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/consumers/{consumer}/stream": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * Take events over Server-Sent Events (scope subscribe).
         * @description Acknowledge them with `ack`. When the token is revoked or the consumer is deleted, the frame `closed` comes with the error, and the stream ends.
         */
        get: operations["streamConsumer"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * Stored events, oldest first, a page at a time.
         * @description Needs the scope subscribe. A page ends at `limit` events or at about 4 MiB.
         */
        get: operations["backfill"];
        put?: never;
        /**
         * Publish one event, a batch (all or none), or a stream of lines.
         * @description Answered when a majority of the cluster has the events on disk; answered 202 if the map's channel rules make the subjects ephemeral. A batch or stream is all stored or all ephemeral.
         */
        post: operations["publish"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/events/{event}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove one event.
         * @description Removes the event from history and from the events that webhooks have yet to send. Only readers whose position is before the event are told of a gap. The seqs of other events stay. The request is answered, like the revocation of a token, when every node in reach of a majority has applied it. 503 `unknown_outcome`: repeat the request; 404 means that it is done.
         */
        delete: operations["deleteEvent"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/events/{event}/trace": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * What became of an event.
         * @description One timeline: publish, proposal, commit, each node's apply and sockets, attempts of webhooks, acknowledgements of consumers. It is gathered from all nodes, three seconds at most, from what each notes while it runs and from what is stored. `gone` says what is no longer known. An event of another map, one that never was, and one of which nothing is known any more are answered alike: 404 `event_not_found`. Of an ephemeral event nothing is kept.
         */
        get: operations["traceEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/events/stream": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * Server-Sent Events.
         * @description The first frame is `event: connected`. Its `id` is the position before the first event that comes. Its data has `map_id`, `server_time`, `last_event_id` (that position) and, if history is gone or the requested position is not a position of the map, `gap` and `oldest_id`. Then each event has a frame: `event` is its type, `id` its id, `data` the event with `timestamp` in addition to `ts`. An event of a type that means something else here (`open`, `error`, `connected`, `position`, `refused`, `message`) has no `event`, and arrives as `message`. While a filter lets nothing through, a frame `event: position` comes from time to time, with an `id` and as data `id`, `seq`, `map_id`, `timestamp` and a `payload` of null. Only events have a `ts`. A request that accepts `text/event-stream` and is refused for now (429 or 503 otherwise) gets 200, `retry`, one frame `event: refused` with the error as data, and the end: after any other status an EventSource never comes back.
         */
        get: operations["stream"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/ingest": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The ingest sources of a map, without their secrets.
         * @description Needs the scope manage. Each source has its counts and the time of its newest event.
         */
        get: operations["listSources"];
        put?: never;
        /**
         * Create an ingest source; a secret that the server makes is shown once.
         * @description Needs the scope manage. Without a body the source takes requests that are signed with HMAC. A map has at most 100 sources.
         */
        post: operations["createSource"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/ingest/{source}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        /**
         * One ingest source.
         * @description Needs the scope manage.
         */
        get: operations["showSource"];
        /**
         * Change what is named, as PATCH does.
         * @description Needs the scope manage. Settings that are left out stay.
         */
        put: operations["changeSource"];
        post?: never;
        /**
         * Delete an ingest source. Its events stay.
         * @description Needs the scope manage. The request is answered when no node in reach takes anything for it.
         */
        delete: operations["deleteSource"];
        options?: never;
        head?: never;
        /**
         * Change what is named. A new secret replaces the old one at once.
         * @description Needs the scope manage. The request is answered when no node in reach takes the former secret any more.
         */
        patch: operations["patchSource"];
        trace?: never;
    };
    "/api/maps/{map}/ingest/{source}/deliveries": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        /**
         * The last 20 requests to a source over all nodes, with their verdicts. Nodes keep them in memory.
         * @description Needs the scope manage. The verdict says what became of a request, and why it was refused.
         */
        get: operations["listSourceDeliveries"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/ingest/{source}/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Replace the secret. Both are valid for the overlap.
         * @description Needs the scope manage. Without a secret in the body the server makes one and shows it in this answer only.
         */
        post: operations["rotateSourceSecret"];
        /**
         * End a rotation; only the present secret is valid.
         * @description Needs the scope manage. Without a rotation under way nothing changes.
         */
        delete: operations["endSourceRotation"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/issuers": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The issuers of the map's client tokens (JWTs), without their secrets.
         * @description Needs the scope manage.
         */
        get: operations["issuers"];
        /**
         * Replace all issuers.
         * @description An issuer that is sent unchanged keeps its clients. The sessions of clients of all other former issuers end on every node before the answer comes. docs/TOKENS.md describes issuers and claims.
         */
        put: operations["setIssuers"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/portal-links": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make a link to the pages of the map's webhooks and consumers, for the users of a tenant.
         * @description Needs the scope manage. The link opens what its scopes say, on this map alone, until its time; it ends earlier when the token that made it is revoked. Its fragment is a token, which its page sends as `Authorization: Bearer`.
         */
        post: operations["makePortalLink"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/pusher": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The apps of a map, the oldest first, without their secrets.
         * @description Needs the scope manage.
         */
        get: operations["listApps"];
        put?: never;
        /**
         * Create credentials for Pusher clients; the answer shows the secret once.
         * @description A map has at most 10 apps. Several keys may have the same app id, so that credentials can be replaced while both work. An app id, a key or a secret of your own needs the admin token, because ids and keys are unique in the cluster; a map's token may give an app id that its map has already. The first app prepares the map, and `map_changes` says how. A map without channel rules and without subjects gets the rule `{"match": "*", "durability": "ephemeral"}`. Its limit `connections` becomes the setting `limits.map_connections_with_app` where it is that of new maps; a limit that was set for the map stays.
         */
        post: operations["createApp"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/pusher/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * One app, without its secret.
         * @description Needs the scope manage.
         */
        get: operations["showApp"];
        put?: never;
        post?: never;
        /**
         * Delete an app; its sockets close within a second, on every node.
         * @description It is answered like the revoke of a token. 409 `configured`, the app is in the configuration file; delete it there.
         */
        delete: operations["deleteApp"];
        options?: never;
        head?: never;
        /**
         * Change what the clients of an app may do, and who may connect.
         * @description What the body leaves out stays, as do app id, key and secret. It is answered once every node in reach goes by the change. `client_events` counts for open connections, too; `origins` and `max_connections` count for connections that begin later. 409 `configured`, the app is in the configuration file; change it there.
         */
        patch: operations["updateApp"];
        trace?: never;
    };
    "/api/maps/{map}/subjects": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The subjects in use, by name.
         * @description Subjects that have stored events, subscriptions or members. All nodes are asked for their subscriptions and members, one second at most.
         */
        get: operations["listSubjects"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/subjects/{subject}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description Percent-encoded. Empty is the map's own: the path ends with a slash. */
                subject: components["schemas"]["Subject"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Remove a subject's history.
         * @description The request is answered, like the revocation of a token, when every node in reach of a majority has applied it. After that readers get nothing of the history, and a reader whose position is before the newest removed event is told of a gap. Later events stay. 503 `unknown_outcome`: repeat the request; 404 means that it is done.
         */
        delete: operations["deleteSubject"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/subjects/{subject}/presence": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description Percent-encoded. */
                subject: components["schemas"]["Subject"];
            };
            cookie?: never;
        };
        /**
         * The presence members of a subject, by user id.
         * @description Every node shows the same members, as far as it has applied the log. A user who left without saying so stays a member for `presence.grace_ms`, and one whose node died for about 9 s.
         */
        get: operations["presenceMembers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The tokens of a map, without their text.
         * @description Needs the scope manage.
         */
        get: operations["listTokens"];
        put?: never;
        /**
         * Create a token; the answer shows its text once.
         * @description Needs the scope manage. A token cannot have more rights than its map; `422 limit_reached` beyond `limits.tokens_per_map`.
         */
        post: operations["createToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/tokens/{token}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                token: string;
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke a token; its sockets close within a second, on every node.
         * @description The request is answered when every node in reach of a majority has applied it: at once, after 0.8 s if a node is down or cut off, or after some seconds while a leader is elected. 503 `unknown_outcome`: the revoke may be stored, but a node in reach doesn't have it yet. Repeat the request: 404 means that it is done.
         */
        delete: operations["revokeToken"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/usage": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * What was published to the map and delivered, by hour or by day.
         * @description Needs the scope manage. The periods are in UTC, by the cluster's time, oldest first and without a gap; the last one is the present one. 48 hours and 92 days are kept. Events are counted when they are stored. Each node reports the deliveries and attempts that it has counted once a minute, and they count in the period in which it does. What a node has not reported when its process is killed is not counted.
         */
        get: operations["mapUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        /**
         * The webhooks of a map, newest first.
         * @description Needs the scope manage.
         */
        get: operations["listWebhooks"];
        put?: never;
        /**
         * Create a webhook; the answer shows its secret once.
         * @description 409 `url_taken` if another webhook of the map has the same target (names may be the same), 422 `limit_reached` over the map's limit.
         */
        post: operations["createWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * One webhook.
         * @description Needs the scope manage. The secret is never shown again.
         */
        get: operations["showWebhook"];
        /**
         * Change a webhook; absent fields stay. The same as PATCH.
         * @description The answer of GET can be changed and sent back. Fields that are not settings (`id`, `state`, `target`, `delivered`, …) are ignored, and so is a `url` that is null.
         */
        put: operations["putWebhook"];
        post?: never;
        /**
         * Delete a webhook with its dead letters.
         * @description Needs the scope manage. Requests that are under way end by themselves.
         */
        delete: operations["deleteWebhook"];
        options?: never;
        head?: never;
        /**
         * Change a webhook; absent fields stay.
         * @description With `active: true` the webhook continues where it stopped. For a webhook of the configuration file only `active` can be changed (409 `configured`).
         */
        patch: operations["updateWebhook"];
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/attempts": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * The last attempts, oldest first.
         * @description Needs the scope manage. The owner of the webhook keeps the last attempts.
         */
        get: operations["listAttempts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * Events that were given up, in the order of seq.
         * @description Needs the scope manage. A page ends at `limit` dead letters or at about 4 MiB.
         */
        get: operations["listDeadLetters"];
        put?: never;
        post?: never;
        /**
         * Remove all dead letters.
         * @description Needs the scope manage. The events stay in the stream.
         */
        delete: operations["purgeDeadLetters"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/dead-letters/{event}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * One dead letter.
         * @description Needs the scope manage.
         */
        get: operations["showDeadLetter"];
        put?: never;
        post?: never;
        /**
         * Remove one dead letter.
         * @description Needs the scope manage. The event stays in the stream.
         */
        delete: operations["deleteDeadLetter"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/dead-letters/{event}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deliver one dead letter again.
         * @description Needs the scope manage. The dead letter goes when the event was delivered.
         */
        post: operations["retryDeadLetter"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/dead-letters/retry": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deliver all dead letters again, or those since a time or an event.
         * @description Needs the scope manage. It is a replay of the dead letters, with progress.
         */
        post: operations["retryDeadLetters"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/disable": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Disable a webhook; events are kept as long as retention keeps them.
         * @description Needs the scope manage. A request that is under way ends by itself.
         */
        post: operations["disableWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/enable": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Enable a webhook.
         * @description With `resume` the webhook continues where it stopped, with `skip` it gets the events from now on, with `since` the events from that time or that event on.
         */
        post: operations["enableWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/replay": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * How many events a replay would have now; nothing is begun.
         * @description Needs the scope manage. The parameters are the members of the replay's body; one of since and after, or neither if `failed_only` is true.
         */
        get: operations["planReplay"];
        put?: never;
        /**
         * Deliver events again.
         * @description Delivers a range of the map's events (`since` a time, `after` an event, or `failed_only`), until its present end or a time. Or it delivers single events by their ids: these are not a replay with progress, and the answer has `events` and their range.
         */
        post: operations["replay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/replays": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * Replays that wait, run or ended recently, newest first.
         * @description Needs the scope manage. Replays of one webhook run one after the other.
         */
        get: operations["listReplays"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/replays/{replay}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * One replay.
         * @description Needs the scope manage.
         */
        get: operations["showReplay"];
        put?: never;
        post?: never;
        /**
         * Stop a replay; what it delivered stays delivered.
         * @description Needs the scope manage. A replay that has ended stays as it is.
         */
        delete: operations["cancelReplay"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/rotate-secret": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Give the webhook a new secret; the answer shows it once.
         * @description Needs the scope manage. Until the overlap ends, both secrets sign each request. If the request gives the secret, deliveries that wait are tried at once, because the receiver may have it already; with a secret that the server makes they wait for their time, or for `…/enable`.
         */
        post: operations["rotateSecret"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/{webhook}/test": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Deliver a test event now, which is in no log; works for a disabled webhook too.
         * @description Needs the scope manage. The answer comes when the receiver has answered, or when the time for it is over.
         */
        post: operations["testWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/fire": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send an event to the webhooks that want it, and to nobody else.
         * @description The event is stored under the subject `$channel/{channel}`, among the lifecycle events of its channel, and delivered like these: at least once, and in order where a webhook asks for order. Clients that read the channel do not get it. The token needs the scopes manage and publish, and the event counts towards the map's rate.
         */
        post: operations["fireWebhooks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/maps/{map}/webhooks/preview": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Show the request that settings would make of an event; nothing is stored or sent.
         * @description Needs the scope manage, or a portal link with `webhooks:write`. The settings are those of `webhook`, or those of a new webhook, changed by `settings`; a target is not needed. Without `event` the answer is about the newest of the map's last 500 events that the settings choose; if they choose none of them, about the newest event. With `sample` it is about an event that nobody has published; its id and seq are made up. The request is that of the event alone, at its first attempt unless `attempt` says otherwise. Signatures, values of the webhook's own headers, and what may be secret in the URL are shown as `…`. The faults of settings are those of creating a webhook; the name of the target is not resolved. 404 `event_not_found`, `webhook_not_found`.
         */
        post: operations["previewWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/portal": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the portal link of the request's token opens.
         * @description The page of a portal link begins with this. An unknown link, one that has ended and one whose maker's token was revoked get the same 401.
         */
        get: operations["portal"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A session has begun: publishes `session.started` to the map's own subject, for all clients.
         * @description Needs the scope publish. Clients that have sent `auth` over /api/sessions/live get the event.
         */
        post: operations["startSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions/{session}/close": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A session has ended: publishes `session.ended` to `session:{session}`.
         * @description Needs the scope publish. Clients that have subscribed to the session get the event.
         */
        post: operations["closeSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions/{session}/games": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A game was added: publishes `game.added` to `session:{session}`.
         * @description Needs the scope publish. Clients that have subscribed to the session get the event.
         */
        post: operations["addGame"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sessions/{session}/games/{game}/player-count": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                /** @description The id of the game within the session. */
                game: components["parameters"]["game"];
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * A game has so many players: publishes `player-count.updated` to `session:{session}`.
         * @description Needs the scope publish. Clients that have subscribed to the session get the event.
         */
        patch: operations["countPlayers"];
        trace?: never;
    };
    "/api/sessions/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Open a WebSocket for live sessions.
         * @description The first message says who the client is: `{"type":"auth","token":…}`.
         */
        get: operations["connectLive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/votes/live": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Somebody has voted: publishes `vote.received` to the subject of the session.
         * @description Needs the scope publish. Clients that have subscribed to the session get the event.
         */
        post: operations["voteLive"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/webhooks": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The webhooks of the token's map, newest first.
         * @description Needs the scope manage. The list is not wrapped in `data`.
         */
        get: operations["listSessionWebhooks"];
        put?: never;
        /**
         * Create a webhook; its profile is `envelope` unless another is named. The secret is never returned.
         * @description `secret` is required except for `discord` and `slack`.
         */
        post: operations["createSessionWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/webhooks/{source}/events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        /**
         * Receive what comes in through a source, as Server-Sent Events.
         * @description Needs a token of the map with the scope subscribe. Each event is a message with the data `{id, timestamp, source, eventType, payload, validated}`, and `subject` where it has one. The first frame, `connected`, has the position before the first event.
         */
        get: operations["listenToSource"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/webhooks/{webhook}": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * One webhook.
         * @description Needs the scope manage.
         */
        get: operations["showSessionWebhook"];
        /**
         * Change a webhook; absent fields stay.
         * @description Needs the scope manage. The same as PATCH.
         */
        put: operations["putSessionWebhook"];
        post?: never;
        /**
         * Delete a webhook.
         * @description Needs the scope manage.
         */
        delete: operations["deleteSessionWebhook"];
        options?: never;
        head?: never;
        /**
         * Change a webhook; absent fields stay.
         * @description Needs the scope manage. With `enabled: true` the webhook continues where it stopped.
         */
        patch: operations["updateSessionWebhook"];
        trace?: never;
    };
    "/api/webhooks/{webhook}/logs": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        /**
         * The last attempts, newest first.
         * @description Needs the scope manage. The list is not wrapped in `data`.
         */
        get: operations["listLogs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/webhooks/test/{webhook}": {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send an example `game.added`; the logs show the result.
         * @description Needs the scope manage. The answer comes before the request is sent.
         */
        post: operations["testSessionWebhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/app/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A key of an app. */
                key: string;
            };
            cookie?: never;
        };
        /**
         * Open a WebSocket for the Pusher protocol.
         * @description A refused client gets the WebSocket and in it why it ends, because clients know no status of HTTP.
         */
        get: operations["connectPusher"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/batch_events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Publish up to ten events, in order, as to Pusher.
         * @description The events are published in their order. The durable ones are stored together or not at all.
         */
        post: operations["publishBatchToChannels"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/channels": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        /**
         * The occupied channels, over all nodes.
         * @description More than 10,000 channels are refused with 400; ask by prefix then. 503 if a node does not answer, because a count is right or there is none.
         */
        get: operations["listChannels"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/channels/{channel}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                channel: components["parameters"]["channel"];
            };
            cookie?: never;
        };
        /**
         * Whether a channel is occupied, and its attributes.
         * @description 503 if a node does not answer, because a count is right or there is none.
         */
        get: operations["showChannel"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/channels/{channel}/users": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                channel: components["parameters"]["channel"];
            };
            cookie?: never;
        };
        /**
         * The members of a presence channel.
         * @description Only presence channels have users; any other channel is answered 400.
         */
        get: operations["listUsers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Publish one event to up to 100 channels, as to Pusher.
         * @description The map's channel rules say which channels are durable. The durable events of a request are stored together or not at all. Clients of the Pusher protocol get `data` byte for byte; all others get it parsed, if it is JSON, and else as a string.
         */
        post: operations["publishToChannels"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/apps/{app}/users/{user}/terminate_connections": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                user: string;
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End all connections of a signed-in user, at all nodes. They are closed with 4009.
         * @description A node that does not answer ends them when it is in reach again, or when it is cut off. 503 if a node does not answer and there is no majority that could tell it later: the connections at the others have ended then, and the request may be repeated.
         */
        post: operations["terminateUser"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The way to the console.
         * @description Answers with the address of the console, `/console/`.
         */
        get: operations["consoleMoved"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console/{path}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Empty for the console itself, or a file below `assets/`. It may contain slashes. */
                path: string;
            };
            cookie?: never;
        };
        /**
         * The console, a page of scripts that use this API, and the files that it and the portal load.
         * @description All of it is part of the executable, and nothing is loaded from elsewhere. No page may show it in a frame. The name of a file changes with its content, so files may be kept for ever.
         */
        get: operations["console"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console/config": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How people can sign in.
         * @description What the console must know before anybody has signed in.
         */
        get: operations["consoleConfig"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console/oidc/callback": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where the issuer sends people back to.
         * @description Checks the answer, sets the cookie `waypost_session` and sends people on to `/console/`. 401 `oidc_refused`: the answer is not one to a sign-in of this browser, or its token is not valid; 403: the person may use nothing here.
         */
        get: operations["finishOidc"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console/oidc/start": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Send somebody to the issuer of OpenID Connect.
         * @description The code flow with PKCE. 404 unless `console.oidc` is configured.
         */
        get: operations["startOidc"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The session of the cookie, with the value of the header that belongs to it.
         * @description The only request that the cookie opens without the header. Other sites can neither send the cookie nor read the answer.
         */
        get: operations["consoleSession"];
        put?: never;
        /**
         * Sign in with the admin token or a token of a map.
         * @description The answer sets the cookie `waypost_session`. It stands for the token on every node, for `console.session_minutes`, and ends when the token is revoked.
         */
        post: operations["signIn"];
        /**
         * Sign out of the console.
         * @description Removes the cookie from the browser. With a session it needs the header, too.
         */
        delete: operations["signOut"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The way to the first page of the documentation.
         * @description Answers with the address of the first page, `/docs/`.
         */
        get: operations["documentation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs/{path}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A page or a file, such as api, openapi.yaml, asyncapi.yaml or ERRORS.html. It may contain slashes. */
                path: string;
            };
            cookie?: never;
        };
        /**
         * A page or a file of the documentation.
         * @description `/docs/api` renders this document, `/docs/openapi.yaml` is this document, `/docs/asyncapi.yaml` describes sockets and webhooks.
         */
        get: operations["page"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the process lives.
         * @description Answered without a token, and also when all connections of the node are taken.
         */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Prometheus.
         * @description In the text format of Prometheus, without a token.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/portal/{policy}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The path part of a portal link. */
                policy: string;
            };
            cookie?: never;
        };
        /**
         * The page of a portal link.
         * @description Its policy (`frame-ancestors`) lets the origins of the link show it in a frame. An unknown link and one that has ended get the same 404.
         */
        get: operations["portalPage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the node takes new clients.
         * @description For load balancers. Answered without a token, and also when all connections of the node are taken.
         */
        get: operations["ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/socket/events/longpoll": {
        parameters: {
            query?: {
                /** @description Pages of a Phoenix server send it. It has no effect. */
                _csrf_token?: components["parameters"]["csrf"];
                /** @description Id or slug of the map, so that a client token is verified with the keys of its issuers alone. */
                map?: components["parameters"]["ofMap"];
                /** @description The version of the protocol. */
                vsn?: components["parameters"]["vsn"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Open a session of Phoenix Channels by long poll, or wait for its messages.
         * @description Clients of Phoenix read the status in the body: 410 with a token for a new session, 200 with messages, 204 without, 403 for a refusal that stays, 500 for one that passes.
         */
        get: operations["pollPhoenix"];
        put?: never;
        /**
         * Send messages in a session of Phoenix Channels.
         * @description Each line of the body is a message: JSON, or a binary message in base64. The status is in the body.
         */
        post: operations["pushPhoenix"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/socket/events/websocket": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Open a WebSocket for Phoenix Channels.
         * @description The token comes in the query, as Bearer, in x-phoenix-authtoken or in a subprotocol. A refused client gets 403, the only status that clients of Phoenix know.
         */
        get: operations["connectPhoenix"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhook/{source}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The same as `POST /webhooks/{source}`, at a path that some senders use.
         * @description The body is JSON, a form or a CloudEvent; the source's settings say how its sender proves who it is and what the body becomes. All events of a request are stored, or none. A repeated delivery is answered as the first one was, with the header `Idempotency-Replayed: true`.
         */
        post: operations["ingestAtOtherPath"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/webhooks/{source}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Post events to an ingest source.
         * @description The body is JSON, a form or a CloudEvent; the source's settings say how its sender proves who it is and what the body becomes. All events of a request are stored, or none. A repeated delivery is answered as the first one was, with the header `Idempotency-Replayed: true`.
         */
        post: operations["ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AdminToken: {
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            inserted_at: string;
            name: string;
            scopes: ("read" | "operate")[];
        };
        App: {
            app_id: components["schemas"]["AppName"];
            /** @description Whether its clients may publish where no channel rule decides it. */
            client_events: boolean;
            /** Format: date-time */
            inserted_at: string;
            key: components["schemas"]["AppName"];
            /** @description null: no limit. */
            max_connections: number | null;
            /**
             * @description How it was made.
             * @enum {unknown}
             */
            origin: "api" | "config";
            origins: components["schemas"]["AppOrigins"];
        };
        AppName: string;
        /**
         * @description Origins or hosts of pages that may connect, in which `*` stands for any characters, such as `https://*.example.com` or `localhost:3000`; empty: any.
         * @default []
         */
        AppOrigins: string[];
        /** @description What follows `whsec_` must be base64, as in secrets of webhooks. */
        AppSecret: string;
        Attempt: {
            /** Format: date-time */
            at: string;
            /** @description The number of the attempt of this delivery, from 1; 0 if none could begin. */
            attempt: number;
            class: components["schemas"]["AttemptClass"];
            error: string | null;
            /** @description Its first event. */
            event_id: components["schemas"]["EventId"] | null;
            events: number;
            /** @description As in webhook-id. */
            message_id: string;
            ms: number;
            node: number;
            /** @description The name of that node, if it is a member that has one; null with a portal link. */
            node_name: string | null;
            /** @description Increases with each attempt; 0 for a test, and for the record that no attempt could begin, which has 0 events. */
            number: number;
            /** @description The beginning of the answer's body. */
            response: string;
            /**
             * @description Whether the receiver can have taken the request. `maybe`: a part of it was written to a connection, and no answer came back.
             * @enum {unknown}
             */
            sent: "nothing" | "maybe" | "answered";
            seq: number | null;
            /**
             * @description The step at which a request without a whole answer ended. Null: it has a whole answer, or it ended before it began.
             * @enum {unknown}
             */
            stage: "dns" | "connect" | "tls" | "write" | "wait" | "head" | "body" | null;
            status: number | null;
            type: string;
        };
        /** @enum {unknown} */
        AttemptClass: "delivered" | "dns" | "blocked" | "connect" | "tls" | "timeout" | "closed" | "protocol" | "status" | "redirect" | "throttled" | "render" | "function" | "expired" | "skipped" | "overflow" | "internal" | "refused" | "unacknowledged";
        /** @description A line of the audit log. One with only `time`, `node` and `lost` says how many lines could not be written. */
        AuditLine: {
            address?: string;
            /** @description The settings that the request changed, of a map, its channel rules, issuers, webhooks, consumers, ingest sources and Pusher credentials; some 700 bytes at most, and a last one called `…` if there are more. Of webhooks, consumers, sources and issuers no value is told: it may be a secret. */
            changed?: {
                /**
                 * @description Its path, as in `limits.webhooks`; of a channel rule, what it matches and the member, as in `chat-*.durability`; `order` if only the order of the rules is another one.
                 * @example limits.webhooks
                 */
                field: string;
                /** @description What it was; null: nothing. Absent if it is not told. */
                from?: unknown;
                /** @description What it is; null: nothing. Absent if it is not told. */
                to?: unknown;
            }[];
            lost?: number;
            /** @description Id of the map. */
            map?: string;
            /** @description Its slug then, or its name if it had none. */
            map_name?: string;
            method?: string;
            /** @description The name then of the token, webhook, consumer or ingest source that the request made, or that its path names; at most 100 bytes. */
            name?: string;
            node: components["schemas"]["NamedNode"];
            path?: string;
            /** @description `done`, `unknown`, or the code of the error. */
            result?: string;
            /** @example /api/maps/{map}/tokens */
            route?: string;
            /** @description Of the answer; null if the caller left before it. */
            status?: number | null;
            /** Format: date-time */
            time: string;
            /** @description Its id; with `portal`, that of the token that made the link, which is missing if the admin did. */
            token?: string;
            /** @description Its name then, at most 100 bytes; of a client token, that of its issuer. */
            token_name?: string;
            /**
             * @description `portal`: with a portal link. `unknown`: with no token, or a wrong one.
             * @enum {unknown}
             */
            who?: "admin" | "token" | "portal" | "unknown";
        };
        /** @description Sends several events in one request; not for envelope and broadcasting, at most 10 for discord and slack. */
        Batch: {
            /** @default 0 */
            duration_ms: number;
            max: number;
        } | null;
        /** @description null: no limit. */
        Bound: number | null;
        Channel: string;
        /** @description Only what `info` names, and what the channel has. */
        ChannelCounts: {
            subscription_count?: number;
            /** @description Members of a presence channel. */
            user_count?: number;
        };
        ChannelRule: {
            /** @description Whether clients that joined may publish. Absent or null: the setting of the client's app decides; clients of other protocols may not. */
            client_events?: boolean | null;
            /**
             * @description Ephemeral events are sent to the present subscribers and never stored. Absent or null: the subject's name decides.
             * @enum {unknown}
             */
            durability?: "durable" | "ephemeral" | null;
            /** @description If absent or null, the map's retention alone bounds what is kept. */
            history?: {
                bytes?: components["schemas"]["Bound"];
                events?: components["schemas"]["Bound"];
                seconds?: components["schemas"]["Bound"];
            } | null;
            /**
             * @description What a Pusher client must show to join: nothing but its key, a token of the map (so none can join), or the signature of the back end. Absent or null: subjects `private-…` and `presence-…` need a signature, others nothing.
             * @enum {unknown}
             */
            join?: "anyone" | "token" | "signature" | null;
            /**
             * @description A subject, or a pattern with `*`.
             * @example chat-*
             */
            match: string;
            /** @description Members at once. Absent or null: 100. */
            members_max?: number | null;
            /** @description Whether the subject has members that see each other. Absent or null: subjects `presence-…` have. */
            presence?: boolean | null;
        };
        ClientConnection: {
            /**
             * @description From where it was opened, as the node sees it; null if it has just ended.
             * @example 192.0.2.7
             */
            address: string | null;
            age_seconds: number;
            /** @description The app whose key opened it; null if no app did. */
            app: {
                app_id: components["schemas"]["AppName"];
                key: components["schemas"]["AppName"];
            } | null;
            /** @example 3-000000000000a7 */
            id: string;
            /** @description Bytes of these events in the node's memory, and bytes that were sent and that the client has not taken. */
            lag_bytes: number;
            /** @description Events that it was not sent yet. Events that are no longer in the node's memory are counted by the positions of the map's log, of which other subjects may have some. */
            lag_events: number;
            node: components["schemas"]["NamedNode"];
            /** @description The client's port, as the node sees it; null if it has no connection of its own, as a long poll. */
            port: number | null;
            protocol: components["schemas"]["ConnectionProtocol"];
            /** @description Subjects and patterns that it has subscribed to, the first by name. Empty is the map's own, `*` all. */
            subjects: string[];
            /** @description How many there are. */
            subjects_total: number;
            /** @description Id of the token or the issuer by which it was opened; null if an app or the admin opened it. */
            token: string | null;
            /** @description The latter alone: they wait in the connection, because the client reads nothing or too little. */
            unsent_bytes: number;
            /** @description Whom its client token is about, or the user that has signed in. */
            user: string | null;
            /** @description The first 120 bytes of what the client calls itself (`User-Agent`), if it says so. */
            user_agent: string | null;
            /** @description For how long something has waited for the client to take it; 0 if nothing waits. The node closes the connection of a client that takes too little for too long. */
            waiting_seconds: number;
        };
        ClosedConnection: components["schemas"]["ClientConnection"] & {
            /**
             * Format: date-time
             * @description By the node's clock.
             */
            closed_at: string;
            /**
             * @description `too_slow`: it took too little for too long. `fell_out`: it missed ephemeral events.
             * @enum {unknown}
             */
            reason: "too_slow" | "fell_out";
        };
        ClusterStatus: {
            applied_index?: number;
            /** @description Whether the voters are being changed. Until this ends, a majority of the old voters and a majority of the new voters are needed. */
            changing?: boolean;
            cluster_id: string;
            committed_index?: number;
            /** @description How the webhooks and consumers of all maps stand, counted some seconds ago. Null: not known at the moment. */
            delivery?: {
                /** Format: date-time */
                as_of: string;
                consumers: components["schemas"]["ConsumerStandings"];
                /** @description The maps where something is wrong or late, the worst first, at most 20. */
                maps: {
                    consumers: components["schemas"]["ConsumerStandings"];
                    /** Format: uuid */
                    id: string;
                    name: string;
                    slug: components["schemas"]["Slug"];
                    webhooks: components["schemas"]["WebhookStandings"];
                }[];
                webhooks: components["schemas"]["WebhookStandings"];
            } | null;
            /** @description The log index up to which the state is on this node's disk. */
            durable_index?: number;
            failure?: string | null;
            has_quorum?: boolean;
            /** @description Whether there is a majority, and this node works and is in the right cluster. */
            healthy: boolean;
            /** @description The end of the certificate that the node that was asked shows clients, in seconds since 1970. */
            http_certificate_until?: number | null;
            /**
             * Format: date-time
             * @description The time that event ids have reached; it is later than `time` after a clock was ahead.
             */
            ids_time?: string;
            last_log_index?: number;
            leader_id: number | null;
            leader_name?: string | null;
            log_bytes?: number;
            members: {
                /** @description Whether its process before this one ended without being told to: it was killed or crashed, or its machine stopped. Null: not known. */
                after_crash?: boolean | null;
                applied_index?: number | null;
                /** @description Its clock minus that of the node that was asked. */
                clock_ms?: number | null;
                connections?: number | null;
                disk_free_bytes?: number | null;
                disk_full?: boolean | null;
                /** @description Bytes in its store that hold nothing and will be used again. Half of them count as free for new events, at most as much as is free on the disk. Counted only while the disk is short of space. */
                disk_reusable_bytes?: number | null;
                /** @description Its disk was slow a moment ago while a majority of the nodes was not. */
                disk_slow?: boolean | null;
                disk_total_bytes?: number | null;
                /** @description Bytes that its data directory uses. */
                disk_used_bytes?: number | null;
                /** @description Unix milliseconds. */
                drained_since_ms?: number | null;
                /** @description Ephemeral events from this node that did not reach another node, since it was started. */
                ephemeral_dropped?: number | null;
                /** @description The number of subjects and patterns of ephemeral events that it wants from the others. */
                ephemeral_interest?: number | null;
                http_addr?: string | null;
                id: number;
                /** @description The identity that the node joined with: the first 16 hexadecimal digits of its public key. Each of its peers checks it. */
                identity?: string | null;
                /** @description Committed entries that it has yet to apply; null if it is not known how far the cluster is. */
                lag?: number | null;
                last_log_index?: number | null;
                log_bytes?: number | null;
                /** @description Its name for people (`node.name`). Null for a node of a release without names. */
                name?: string | null;
                peer_addr: string;
                /** @description Whether it answered the node that was asked. */
                reachable: boolean;
                /** @description How the member reaches the others over their peer ports. */
                reaches?: {
                    /**
                     * @description `refused`: nothing listens there. `no_connection`: nothing answers there. `not_admitted`: one side does not accept the other. `broken`, `no_answer`: the connection breaks, or no answer comes.
                     * @enum {unknown}
                     */
                    error: "refused" | "no_connection" | "not_admitted" | "broken" | "no_answer" | null;
                    /** @description For how long it has been reached or not. */
                    for_ms: number;
                    node: number;
                    node_name?: string | null;
                    reached: boolean;
                }[] | null;
                /** @description The node that this row is from: the member itself, or a node that reaches it while the node that was asked does not. */
                reported_by?: number | null;
                /** @enum {unknown} */
                role: "leader" | "follower" | "learner";
                /** @description Time since it was last heard. */
                seen_ms?: number | null;
                /** @description Time since its state was last made durable. */
                snapshot_age_ms?: number | null;
                /** @enum {unknown} */
                state: "up" | "draining" | "drained" | "unreachable";
                /** @description It does not get a vote automatically. */
                stays_learner?: boolean;
                topics?: number | null;
                uptime_ms?: number | null;
                version?: string | null;
                voter?: boolean;
                /** @description The number of webhooks that it owns. */
                webhooks?: number;
            }[];
            node_id: number;
            /** @description The name of the node that was asked. */
            node_name?: string | null;
            /** @description The end of the certificate that the node that was asked shows its peers, or of the intermediate certificate that ends first, in seconds since 1970. */
            peer_certificate_until?: number | null;
            /**
             * @description What admits a new node to the cluster, as the node that was asked is set: nothing (on loopback), the shared key, a certificate, or either of the two.
             * @enum {unknown}
             */
            peer_security?: "none" | "key" | "tls" | "key_or_tls";
            /** @description The problems, the worst first; not every problem makes a cluster unhealthy. */
            problems: {
                /** @enum {unknown} */
                code: "removed" | "id_claimed_twice" | "node_failed" | "no_majority" | "wrong_cluster" | "none_serves" | "stuck" | "disk_full" | "webhooks_losing" | "webhooks_failing" | "single_node" | "single_voter" | "even_voters" | "versions_differ" | "drained" | "drain_forgotten" | "unreachable" | "lag" | "was_damaged" | "disk_low" | "disk_slow" | "clocks_apart" | "clocks_disagree" | "clock_jumped" | "expiry_held" | "ids_ahead" | "certificate_ends" | "few_open_files" | "cut_off" | "half_reachable" | "settings_differ" | "no_key" | "audit_lost" | "same_name" | "cannot_catch_up";
                do: string;
                node: number | null;
                node_name?: string | null;
                /** @enum {unknown} */
                severity: "critical" | "warning" | "info";
                what: string;
            }[];
            purged_index?: number;
            /** @enum {unknown} */
            role: "leader" | "follower" | "candidate" | "learner" | "stopped";
            term: number;
            /**
             * Format: date-time
             * @description The cluster's time, by a majority's clocks, as the node that was asked knows it.
             */
            time?: string;
            /** @description The number of webhooks that have an owner. */
            webhooks?: number;
            /** @description The number of webhooks that are failing, as `delivery` counts them. Null: not known at the moment. */
            webhooks_failing?: number | null;
        };
        /** @enum {string} */
        ConnectionProtocol: "phoenix" | "longpoll" | "pusher" | "live" | "sse" | "ingest";
        ConsoleSession: {
            /** @description The value of the header `X-Waypost-CSRF`. */
            csrf: string;
            expires_in_seconds: number;
            /** @description The map of the session, or the first of them; null for an admin. */
            map: null | components["schemas"]["NamedMap"];
            /** @description All maps of the session with what it may do there; empty for an admin, who may use all maps. */
            maps: (components["schemas"]["NamedMap"] & {
                scopes: ("subscribe" | "publish" | "presence" | "manage")[];
            })[];
            /** @enum {unknown} */
            role: "admin" | "map";
            scopes: ("subscribe" | "publish" | "presence" | "manage")[];
        };
        Consumer: {
            backoff_multiplier?: number;
            events: string[];
            filter: components["schemas"]["WebhookFilter"];
            /** Format: uuid */
            id: string;
            initial_delay_ms?: number;
            /** Format: date-time */
            inserted_at?: string;
            /** Format: uuid */
            map_id: string;
            max_delay_ms?: number;
            max_in_flight: number;
            max_retries: number;
            name: string;
            /** @enum {unknown} */
            ordering: "none" | "key" | "strict";
            ordering_key?: string | null;
            state: {
                acknowledged?: number;
                dead_letters?: number;
                given_up?: number;
                /** @description Events that were not looked at or not acknowledged yet. */
                lag?: number;
                /** Format: date-time */
                last_ack_at?: string | null;
                /** Format: date-time */
                losing_since?: string | null;
                /** @description Events that retention removed before they were acknowledged. */
                missed?: number;
                /** @description All events before it are settled or wait for a retry. */
                next_seq?: number;
                /**
                 * Format: date-time
                 * @description When the oldest of them was published.
                 */
                oldest_at?: string | null;
                /** @description The node that hands the events out. */
                owner?: number | null;
                /** @description The name of that node; null with a portal link. */
                owner_name?: string | null;
                /** @description Events acknowledged a second, since the node was asked before. */
                rate?: number | null;
                /** @description Events that were handed over before and wait for the next time. */
                retrying?: number;
                /** @description Hand-overs that ended without an acknowledgement. */
                returned?: number;
                /**
                 * @description up_to_date: nothing waits; behind: the oldest event has waited for more than a minute; unread: it has waited for more than five, and nothing was acknowledged for as long; losing: retention removes events that no reader has got.
                 * @enum {unknown}
                 */
                state?: "up_to_date" | "reading" | "behind" | "unread" | "losing";
            };
            /** Format: date-time */
            updated_at?: string;
            visibility_ms: number;
        };
        ConsumerForm: {
            after?: components["schemas"]["GivenEventId"];
            /** @default 2 */
            backoff_multiplier: number;
            /** @description The same as backoff_multiplier. */
            backoffMultiplier?: unknown;
            /** @description The same as events. */
            event_types?: unknown;
            /**
             * @description `*`, or types and patterns of types.
             * @default *
             */
            events: string | string[];
            filter?: string | components["schemas"]["WebhookFilter"];
            /**
             * @description The delay after the first refusal. An event that was not acknowledged in time comes again at once.
             * @default 1000
             */
            initial_delay_ms: number;
            /** @description The same as initial_delay_ms. */
            initialDelay?: unknown;
            /** @default 3600000 */
            max_delay_ms: number;
            /**
             * @description The most events that all readers together may have unacknowledged.
             * @default 1000
             */
            max_in_flight: number;
            /**
             * @description An event that was handed over once more than this becomes a dead letter.
             * @default 3
             */
            max_retries: number;
            /** @description The same as max_retries. */
            maxRetries?: unknown;
            name: string;
            /**
             * @default none
             * @enum {unknown}
             */
            ordering: "none" | "key" | "strict";
            /** @description An expression; events with the same value wait for each other. */
            ordering_key?: string | null;
            /**
             * @description With the events that are published from now on, or with all that readers may have.
             * @default new
             * @enum {unknown}
             */
            start: "new" | "all";
            /**
             * @description How long a reader has an event alone.
             * @default 30000
             */
            visibility_ms: number;
        };
        ConsumerSettings: {
            /** @default 2 */
            backoff_multiplier: number;
            /** @description The same as backoff_multiplier. */
            backoffMultiplier?: unknown;
            /** @description The same as events. */
            event_types?: unknown;
            /**
             * @description `*`, or types and patterns of types.
             * @default *
             */
            events: string | string[];
            filter?: string | components["schemas"]["WebhookFilter"];
            /**
             * @description The delay after the first refusal. An event that was not acknowledged in time comes again at once.
             * @default 1000
             */
            initial_delay_ms: number;
            /** @description The same as initial_delay_ms. */
            initialDelay?: unknown;
            /** @default 3600000 */
            max_delay_ms: number;
            /**
             * @description The most events that all readers together may have unacknowledged.
             * @default 1000
             */
            max_in_flight: number;
            /**
             * @description An event that was handed over once more than this becomes a dead letter.
             * @default 3
             */
            max_retries: number;
            /** @description The same as max_retries. */
            maxRetries?: unknown;
            /** @description Can't be changed. */
            name?: string;
            /**
             * @default none
             * @enum {unknown}
             */
            ordering: "none" | "key" | "strict";
            /** @description An expression; events with the same value wait for each other. */
            ordering_key?: string | null;
            /**
             * @description How long a reader has an event alone.
             * @default 30000
             */
            visibility_ms: number;
        };
        /** @description How many consumers there are, and how many are in each state. */
        ConsumerStandings: {
            behind: number;
            losing: number;
            reading: number;
            total: number;
            unread: number;
            up_to_date: number;
        };
        DeadLetter: {
            attempts: number;
            class: components["schemas"]["AttemptClass"];
            error: string;
            /** @description null if retention removed it. */
            event: components["schemas"]["Event"] | null;
            first_attempt_at: components["schemas"]["Time"];
            /** Format: date-time */
            given_up_at: string;
            id: components["schemas"]["EventId"];
            seq: number;
            status: number | null;
            type: string;
        };
        EphemeralEvent: {
            /** @description It is not a position: a client can't resume by it. */
            id: components["schemas"]["EventId"];
            /** Format: uuid */
            map_id: string;
            payload: unknown;
            subject: components["schemas"]["Subject"];
            /** Format: date-time */
            ts: string;
            type: components["schemas"]["EventType"];
            /** @description The user who sent it, where a client sent it to a presence subject. */
            user_id?: string;
        };
        /**
         * @example {
         *       "error": "not_found",
         *       "code": "not_found",
         *       "status": 404,
         *       "message": "the map was not found"
         *     }
         */
        Error: {
            code: components["schemas"]["ErrorCode"];
            /**
             * @description With validation_failed: the same as errors, in words. Each begins with the field's name.
             * @example [
             *       "url: is required"
             *     ]
             */
            details?: string[];
            /**
             * @description The code again; on paths that are compatible with another product, the sentence that this product has there.
             * @example invalid_type
             */
            error: string;
            /** @description With invalid_body and validation_failed: all faults of the body. */
            errors?: components["schemas"]["FieldError"][];
            /** @description What to do about it. */
            hint?: string;
            /** @description Index of the bad event in a batch or stream, from 0. */
            index?: number;
            /** @description The value of the limit that was reached. */
            limit?: number;
            /**
             * @description The name of that limit in the map's `limits`, if each map has its own.
             * @example connections
             */
            map_limit?: string;
            /** @description What is wrong, for people. */
            message: string;
            /**
             * @description The command that raises that limit: MAP stands for the map, N for the new value. For a setting, how each node is to be started. Absent if no command raises it.
             * @example waypost map update MAP --connections N
             */
            raise?: string;
            /**
             * @description The setting of that limit; for a limit of maps, the one of new maps. Absent if the limit is fixed.
             * @example limits.map_connections
             */
            setting?: string;
            /** @description The HTTP status. */
            status: number;
            /** @description How many events of a stream had been stored. */
            stored?: number;
        };
        /**
         * @description A stable code in lower case. docs/ERRORS.md says what each means and what to do.
         * @enum {string}
         */
        ErrorCode: "unauthorized" | "forbidden" | "invalid_token" | "not_found" | "method_not_allowed" | "timeout" | "refused" | "internal" | "unavailable" | "not_ready" | "unknown_outcome" | "disk_full" | "invalid_request" | "headers_too_large" | "invalid_header" | "invalid_query" | "unsupported_media_type" | "too_large" | "incomplete_body" | "invalid_json" | "too_deep" | "unsafe_integer" | "invalid_body" | "validation_failed" | "invalid_event" | "invalid_type" | "invalid_subject" | "invalid_subjects" | "forbidden_subjects" | "invalid_events" | "invalid_filter" | "invalid_after" | "invalid_since" | "invalid_until" | "invalid_backfill" | "invalid_last_event_id" | "invalid_limit" | "invalid_prefix" | "invalid_protocol" | "invalid_named" | "invalid_with_key" | "invalid_wait" | "invalid_by" | "invalid_max" | "invalid_idempotency_key" | "idempotency_key_reused" | "idempotency_of_ephemeral" | "too_many_idempotency_keys" | "empty_batch" | "mixed_durability" | "ephemeral_subject" | "several_subjects" | "no_client_events" | "system_map" | "map_needed" | "slug_taken" | "id_taken" | "name_taken" | "url_taken" | "app_id_taken" | "key_taken" | "configured" | "changed_meanwhile" | "limit_reached" | "map_queue_full" | "publish_rate" | "request_rate" | "too_many_failures" | "too_many_connections" | "too_many_joins" | "too_many_channel_joins" | "too_many_client_joins" | "too_many_filters" | "too_many_patterns" | "too_many_sessions" | "too_many_sockets" | "too_many_readers" | "too_much_waits" | "event_not_found" | "webhook_not_found" | "webhook_inactive" | "webhook_unusable" | "too_many_secrets" | "consumer_not_found" | "unknown_connection" | "unknown_event" | "invalid_params" | "invalid_presence" | "invalid_star" | "invalid_positions" | "unknown_version" | "invalid_message" | "too_many_messages" | "upgrade_required" | "websocket_version" | "bad_handshake" | "signature_missing" | "signature_version" | "signature_malformed" | "header_given_twice" | "invalid_timestamp" | "timestamp_expired" | "unknown_key" | "invalid_key" | "invalid_signature" | "body_changed" | "invalid_channel" | "invalid_info" | "no_presence_channel" | "too_many_channels" | "invalid_user" | "source_inactive" | "source_rate" | "too_many_events" | "invalid_form" | "invalid_user_id" | "invalid_properties" | "invalid_payload" | "invalid_mapping" | "invalid_id" | "invalid_time" | "invalid_source" | "invalid_session" | "other_session" | "other_token" | "unknown_node" | "ambiguous_node" | "last_voter" | "would_lose_majority" | "learner" | "node_unreachable" | "node_behind" | "last_serving" | "no_successor" | "oidc_refused" | "oidc_unavailable" | "restore_offline" | "key_configured";
        Event: {
            id: components["schemas"]["EventId"];
            /** Format: uuid */
            map_id: string;
            payload: unknown;
            /** @description Its position in the map's stream, assigned without gaps over all subjects. A reader of some subjects sees holes in seq, and removed events leave holes too; the order is always the same. */
            seq: number;
            /** @description Absent if it is the map's own. */
            subject?: components["schemas"]["ShownSubject"];
            traceparent?: components["schemas"]["Traceparent"];
            /**
             * Format: date-time
             * @description The time at which it was accepted, by the clocks of a majority. It may go back from event to event; seq and id do not.
             */
            ts: string;
            type: components["schemas"]["EventType"];
            /** @description The user who sent it, where a client sent it to a presence subject. */
            user_id?: string;
        };
        /** @description A ULID; sorts in the order of seq. */
        EventId: string;
        /**
         * @example add_system
         * @example App\Events\OrderShipped
         */
        EventType: string;
        FieldError: {
            /**
             * @description conflict: it contradicts another field, or what is stored. not_public, not_allowed: the operator has not opened it.
             * @enum {unknown}
             */
            code: "not_json" | "wrong_type" | "unknown_field" | "given_twice" | "required" | "out_of_range" | "invalid" | "conflict" | "not_public" | "not_allowed";
            /**
             * @description Path of the field, with dots; `body` for the whole body. In a list the index comes first, from 0.
             * @example retry.delay_ms
             * @example 0.match
             */
            field: string;
            message: string;
        };
        /**
         * @example {
         *       "session": {
         *         "games_played": 2
         *       },
         *       "game": {
         *         "id": 42,
         *         "title": "Quiplash 3",
         *         "pack_name": "Jackbox Party Pack 7",
         *         "min_players": 3,
         *         "max_players": 8,
         *         "manually_added": false
         *       }
         *     }
         */
        GameAdd: {
            /** @description Further members are passed on. */
            game: {
                id: components["schemas"]["SessionId"];
                title: string;
            } & {
                [key: string]: unknown;
            };
            session?: components["schemas"]["SessionFacts"];
        };
        /** @description What the service says of the game. Further members are passed on. */
        GameFacts: {
            /** @description Its id. */
            id?: unknown;
            /** @description Its title. */
            title?: unknown;
        };
        /** @description The id of an event, in either case. */
        GivenEventId: string;
        Handed: {
            /** @description The id by which it is acknowledged. It is good for this hand-over only. */
            ack_id: string;
            attempt: number;
            event: components["schemas"]["Event"];
            /** @description If events before this one, in its order, became dead letters and no hand-over has said so yet: the id of the last of them. */
            gap: string | null;
        };
        IngestBatch: {
            events: components["schemas"]["IngestEvent"][];
        };
        IngestEvent: {
            event_type: string;
            properties?: Record<string, never>;
            /** Format: date-time */
            timestamp?: string;
            user_id?: string | number;
        };
        IssuerBase: {
            /**
             * @description The only one that is accepted from this issuer.
             * @enum {unknown}
             */
            algorithm: "HS256" | "RS256" | "ES256" | "EdDSA";
            /** @description What `aud` must be, or have among its texts. Required with jwks_url; `*` accepts any. */
            audience?: string | null;
            /** @description Paths of the claims that say what a token permits, in place of the members of `waypost`. */
            claims?: {
                connections?: string | null;
                filter?: string | null;
                map?: string | null;
                scopes?: string | null;
                subjects?: string | null;
            };
            /**
             * @description The most sessions of one `sub` on one node, where the token names no number.
             * @default 100
             */
            connections: number | null;
            /** @description What `iss` must be. Required with jwks_url; `*` accepts any. */
            issuer?: string | null;
            /** @description A JWKS document: at most 64 KiB and 100 keys. */
            jwks?: Record<string, never>;
            /**
             * Format: uri
             * @description HTTPS, where webhooks may go.
             */
            jwks_url?: string;
            name: string;
            /** @description A public key. */
            pem?: string;
            /** @description For HS256: asterisks stand for it. */
            secret?: string;
        };
        IssuerForm: {
            /**
             * @description The only one that is accepted from this issuer.
             * @enum {unknown}
             */
            algorithm: "HS256" | "RS256" | "ES256" | "EdDSA";
            /** @description What `aud` must be, or have among its texts. Required with jwks_url; `*` accepts any. */
            audience?: string | null;
            /** @description Paths of the claims that say what a token permits, in place of the members of `waypost`. */
            claims?: {
                connections?: string | null;
                filter?: string | null;
                map?: string | null;
                scopes?: string | null;
                subjects?: string | null;
            };
            /**
             * @description The most sessions of one `sub` on one node, where the token names no number.
             * @default 100
             */
            connections: number | null;
            /** @description What `iss` must be. Required with jwks_url; `*` accepts any. */
            issuer?: string | null;
            /** @description A JWKS document: at most 64 KiB and 100 keys. */
            jwks?: Record<string, never>;
            /**
             * Format: uri
             * @description HTTPS, where webhooks may go.
             */
            jwks_url?: string;
            name: string;
            /** @description A public key. */
            pem?: string;
            /** @description For HS256, at least 32 bytes. Never shown; leave it out to keep it. */
            secret?: string;
        };
        Lambda: {
            /** @description A function that `webhooks.aws.functions` of the nodes lists. */
            function_name: string;
            /**
             * @default Event
             * @enum {unknown}
             */
            invocation_type: "Event" | "RequestResponse" | "DryRun";
            qualifier?: string | null;
            /** @example us-east-1 */
            region: string;
        };
        /** @description null or 0: no limit, as in the configuration; it is shown as null. */
        Limit: number | null;
        Limits: {
            connections?: components["schemas"]["Limit"];
            /** @description Keys that are remembered at once. Beyond it a new key is answered 429; no key is forgotten early. */
            idempotency_keys?: components["schemas"]["Limit"];
            /** @description Sockets that a token joins to the map in a minute, on each node; at least as many as `connections`, and no limit where `connections` is null. */
            joins_per_minute?: components["schemas"]["Limit"];
            /** @description Bytes of subjects, types and payloads, and of texts that are kept beside a payload. */
            publish_bytes_per_second?: components["schemas"]["Limit"];
            publishes_per_second?: components["schemas"]["Limit"];
            requests_per_minute?: components["schemas"]["Limit"];
            subjects?: components["schemas"]["Limit"];
            webhooks?: components["schemas"]["Limit"];
        };
        Log: {
            attempt: number;
            /** Format: date-time */
            created_at: string;
            duration_ms: number;
            error_message: string | null;
            event_type: string;
            id: string;
            /** @description The event's payload; null if the event is gone, and for tests. */
            payload: unknown;
            response_status: number | null;
            /** @enum {unknown} */
            status: "success" | "failed";
            /** Format: uuid */
            webhook_id: string;
        };
        Map: {
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            inserted_at: string;
            limits: components["schemas"]["Limits"];
            name: string;
            now?: components["schemas"]["MapNow"];
            retention: components["schemas"]["Retention"];
            slug: components["schemas"]["Slug"];
            /** @description What readers can read. Only in answers to GET. */
            stored?: {
                bytes: number;
                events: number;
            };
            /** Format: date-time */
            updated_at: string;
            /** @description After a change: the promises of the map's webhooks that these settings break. */
            warnings?: string[];
        };
        MapCreate: {
            /**
             * Format: uuid
             * @description Without it the server makes one.
             */
            id?: string | null;
            limits?: components["schemas"]["Limits"];
            name?: string | null;
            retention?: components["schemas"]["Retention"];
            slug?: components["schemas"]["Slug"];
        };
        /** @description What goes on in the map at the moment. Only in answers to GET with `now=true`. */
        MapNow: {
            /**
             * Format: date-time
             * @description When the webhooks and consumers were counted: in a list some seconds ago.
             */
            as_of: string | null;
            /** @description The connections that count towards the map's limit, on all nodes that answered. */
            connections: number;
            /** @description Null: not known at the moment. */
            consumers: components["schemas"]["ConsumerStandings"] | null;
            /** @description Null: not known at the moment. */
            webhooks: components["schemas"]["WebhookStandings"] | null;
        };
        MapUpdate: {
            limits?: components["schemas"]["Limits"];
            name?: string | null;
            retention?: components["schemas"]["Retention"];
            slug?: components["schemas"]["Slug"];
        };
        MapUsage: {
            /**
             * @description The length of a period.
             * @enum {string}
             */
            by: "hour" | "day";
            periods: components["schemas"]["UsagePeriod"][];
        };
        NamedMap: {
            /** Format: uuid */
            id: string;
            name: string;
            slug: string | null;
        };
        NamedNode: {
            id: number;
            name: string | null;
        };
        NewEvent: {
            /** @description Any JSON up to 256 KiB and depth 64; integers that JavaScript would change are refused. */
            payload: unknown;
            subject?: components["schemas"]["Subject"];
            /** @description The trace of this event, in place of the request's. One that is not valid is ignored. */
            traceparent?: string | null;
            type: components["schemas"]["EventType"];
        };
        PassedOn: {
            count: number;
            first_id: components["schemas"]["EventId"];
            last_id: components["schemas"]["EventId"];
        };
        /** @description A time with an offset, not in the future (up to a minute is accepted), or the id of an event. */
        PastPlace: string | components["schemas"]["GivenEventId"];
        PlayerCount: {
            game?: components["schemas"]["GameFacts"];
            player_count: number;
            session?: components["schemas"]["SessionFacts"];
        };
        PortalLinkForm: {
            /** @default 60 */
            minutes: number;
            /** @description Origins of pages that may show it in a frame: https, or http://localhost for development. None unless they are named. */
            origins?: string[];
            scopes: components["schemas"]["PortalScope"][];
            /** @description The colours of its pages. */
            theme?: components["schemas"]["PortalTheme"];
        };
        /** @enum {unknown} */
        PortalScope: "webhooks:read" | "webhooks:write" | "consumers:read" | "consumers:write";
        PortalTheme: {
            accent?: string | null;
            background?: string | null;
            dark?: boolean | null;
            text?: string | null;
        };
        PreviewedRequest: {
            /** @description The first 64 KiB of the body. For a function, its event. */
            body: string;
            /** @description Whether the body is longer. */
            body_cut: boolean;
            /** @description Without those of the connection, such as Host and Content-Length. */
            headers: {
                [key: string]: string;
            };
            /** @enum {unknown} */
            method: "POST" | "PUT";
            /** @description Null: there is no target yet. */
            url: string | null;
        };
        /**
         * @description The form of bodies and signatures.
         * @enum {unknown}
         */
        Profile: "wanderer" | "envelope" | "broadcasting" | "pusher" | "standard" | "discord" | "slack" | "template";
        PublishedId: {
            id: components["schemas"]["EventId"];
        };
        /** @description The most requests in any period of that length; they may all go at once. A node that takes a webhook over sends none for one period. */
        Rate: {
            /** @default 1000 */
            period_ms: number;
            requests: number;
        } | null;
        Replay: {
            delivered: number;
            ended_at: components["schemas"]["Time"];
            /** @description The number of events if they were named by id. */
            events?: number;
            failed: number;
            failed_only: boolean;
            /**
             * Format: date-time
             * @description Time of the first event from `from_seq` on that is kept. Null: it begins with the first of all events, or none is kept.
             */
            from_at: string | null;
            from_seq: number;
            id: number;
            /** @description How many of them wait for their turn or for another attempt; 0 once it has ended. */
            left: number | null;
            /** @description Events that retention removed before they were read again. */
            missed: number;
            next_seq: number;
            /** @description The share of its events that are finished: delivered, given up, removed, or not chosen by the filter. */
            progress: number;
            /** @description Events that were read and wait for another attempt. */
            retrying: number;
            /** Format: date-time */
            started_at: string;
            /** @enum {unknown} */
            state: "waiting" | "running" | "done" | "cancelled";
            /** @description How many events it has. Of a replay of dead letters, these alone count: those that it has delivered or given up, and those that are left. Null if that is not known yet. */
            total: number | null;
            /** @description One past the last seq; null while a replay to the end waits. */
            until_seq: number | null;
        };
        /** @description One of since, after and event_ids; none of them if failed_only is true. */
        ReplayForm: {
            after?: components["schemas"]["GivenEventId"];
            event_ids?: components["schemas"]["GivenEventId"][];
            /**
             * @description Deliver only dead letters.
             * @default false
             */
            failed_only: boolean;
            since?: components["schemas"]["PastPlace"];
            /** Format: date-time */
            until?: string;
        };
        ReplayPlan: {
            /** @description With `failed_only`, the dead letters of events of the range; else the events of the range, whether or not the filter chooses them. */
            events: number;
            failed_only: boolean;
            from_seq: number;
            /** @description One past the last seq. */
            until_seq: number;
        };
        Retention: {
            age_seconds?: components["schemas"]["Bound"];
            bytes?: components["schemas"]["Bound"];
            events?: components["schemas"]["Bound"];
            /** @description How long retention waits for active webhooks: events that clients can no longer read are kept until each webhook is past them, or until one of these bounds is reached. */
            webhook_backlog?: {
                age_seconds?: components["schemas"]["Bound"];
                /** @description Bytes of events kept for webhooks alone. With 0 retention waits for no webhook; null is no bound. */
                bytes?: number | null;
            };
        };
        Retry: {
            /** @description Whether a request that the receiver may have taken is repeated: a part of it was sent and no answer came back, whatever ended it. False by default for discord and slack, which do not recognise ids. */
            ambiguous?: boolean;
            delay_ms?: number;
            factor?: number;
            jitter?: number;
            /** @description Attempts in all; after the last one the event becomes a dead letter. A change counts when an attempt ends: an event that waits has its next attempt in any case. */
            max_attempts?: number;
            max_delay_ms?: number;
            /**
             * @deprecated
             * @description The same as ambiguous.
             */
            on_timeout?: boolean;
        };
        SampleEvent: {
            /** @description Any JSON up to 256 KiB and depth 64. */
            payload: unknown;
            subject?: components["schemas"]["Subject"] | null;
            type: components["schemas"]["EventType"];
        };
        /** @description One that is named twice counts once. */
        Scopes: ("subscribe" | "publish" | "presence" | "manage")[];
        /**
         * @description Key of the signatures; the server makes one if none is given. The part after whsec_ must be base64.
         * @example whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=
         */
        Secret: string;
        SessionEnd: {
            session?: components["schemas"]["SessionFacts"];
        };
        /** @description The members of the event's data, and these. */
        SessionEvent: {
            event: {
                id: components["schemas"]["EventId"];
                /** Format: date-time */
                timestamp: string;
                type: components["schemas"]["EventType"];
            };
            id: components["schemas"]["SessionId"];
            session: components["schemas"]["SessionFacts"];
        };
        /** @description What the service says of the session. Further members are passed on. */
        SessionFacts: {
            /** @description How many games it had. */
            games_played?: unknown;
            id?: components["schemas"]["SessionId"];
            /** @description Whether it goes on; filled in where it is missing. */
            is_active?: unknown;
        };
        /** @description A whole number, or a text of a subject's characters. The subject of the session is `session:` and the id. */
        SessionId: number | string;
        SessionStart: {
            /** @description Without an id the session gets a number at random. */
            session?: components["schemas"]["SessionFacts"];
        };
        SessionWebhook: components["schemas"]["WebhookState"] & {
            /** Format: date-time */
            created_at: string;
            enabled: boolean;
        };
        Settled: {
            data: {
                settled: number;
                unknown: string[];
            };
        };
        /** @description The name of a subject, also of one that belongs to the server. */
        ShownSubject: string;
        /** @description With `now=true`: the nodes that did not answer, whose connections are not counted. */
        SilentNodes: components["schemas"]["NamedNode"][];
        /** @description Unique; not a UUID. */
        Slug: string | null;
        Source: {
            active?: boolean;
            /** @description Only in the answer to the request that made it. */
            apiKey?: string;
            authentication?: string;
            /** Format: date-time */
            createdAt: string;
            dedupeHeader?: string;
            eventsReceived: number;
            /** @constant */
            hmacAlgorithm?: "sha256";
            id: components["schemas"]["SourceId"];
            jwt?: Record<string, never>;
            /** Format: date-time */
            lastEventAt?: string | null;
            limits?: Record<string, never>;
            map_id?: string;
            mapping?: Record<string, never> | null;
            name?: string;
            /** @enum {unknown} */
            onInvalid?: "refuse" | "mark";
            /** Format: date-time */
            previousSecretUntil?: string | null;
            schema?: unknown;
            /** @description Only in the answer to the request that made it. */
            secretKey?: string;
            /**
             * @description `error`: the newest request was refused.
             * @enum {unknown}
             */
            status: "active" | "inactive" | "error";
            /** Format: date-time */
            updatedAt?: string;
            /** @description Where its senders post. */
            url: string;
        };
        SourceDelivery: {
            address?: string;
            /** Format: date-time */
            at?: string;
            bytes?: number | null;
            contentType?: string | null;
            events?: number;
            firstId?: string | null;
            message?: string | null;
            node?: number;
            status?: number;
            /** @description accepted, repeated, answered, or the code of the error. */
            verdict?: string;
        };
        SourceId: string;
        SourceSecret: string;
        SourceSettings: {
            /** @default true */
            active: boolean;
            apiKey?: components["schemas"]["SourceSecret"];
            /**
             * @default hmac
             * @enum {unknown}
             */
            authentication: "api_key" | "hmac" | "jwt" | "none" | "github" | "gitlab" | "stripe" | "shopify" | "slack" | "twilio" | "standard" | "waypost";
            /**
             * @description The header in which a sender without signatures names its delivery.
             * @default idempotency-key
             */
            dedupeHeader: string;
            /** @constant */
            hmacAlgorithm?: "sha256";
            /** @description The keys of JWTs as a JWKS document. */
            jwks?: unknown;
            jwt?: {
                /** @enum {unknown} */
                algorithm?: "HS256" | "RS256" | "ES256" | "EdDSA";
                audience?: string | null;
                issuer?: string | null;
            };
            limits?: {
                /** @default 60000 */
                requestsPerMinute: number | null;
                /** @default 6000 */
                requestsPerMinutePerAddress: number | null;
            };
            /** @description How a body becomes events: type, and subject, time, id, payload and events if they are needed. See docs/INGEST.md. */
            mapping?: Record<string, never> | null;
            name?: string;
            /**
             * @default refuse
             * @enum {unknown}
             */
            onInvalid: "refuse" | "mark";
            /** @description The key of JWTs in PEM form. */
            publicKey?: string;
            /** @description A JSON Schema of the payloads, of at most 64 KiB; null removes it. */
            schema?: unknown;
            secretKey?: components["schemas"]["SourceSecret"];
        };
        Stored: {
            count: number;
            first_id: components["schemas"]["EventId"];
            first_seq: number;
            last_id: components["schemas"]["EventId"];
            last_seq: number;
        };
        /**
         * @description Names a channel inside the map; empty is the map's own. Subjects that begin with `$` belong to the server.
         * @example orders-7
         */
        Subject: string;
        /** @description The target, set by `url` or `lambda`. Only the type if this node can't decrypt the rest. */
        Target: {
            endpoint?: string | null;
            /** @description For lambda. */
            function_name?: string;
            /** @enum {unknown} */
            invocation_type?: "Event" | "RequestResponse" | "DryRun";
            qualifier?: string | null;
            region?: string;
            /** @enum {unknown} */
            type: "http" | "lambda";
            /** @description For http. The URL of a chat (by the profile, or by the form of the URL) is shown without its secret part. */
            url?: string;
        };
        /** Format: date-time */
        Time: string | null;
        Timeline: {
            /** @description null if it is no longer stored. */
            event: {
                id: components["schemas"]["EventId"];
                seq: number;
                subject: components["schemas"]["ShownSubject"];
                /** Format: date-time */
                ts: string;
                type: string;
            } | null;
            /** @description Sentences: what is not known, or no longer. */
            gone: string[];
            /** @description The webhooks and consumers that do not get the event, by their present filters or because they were made after it. */
            not_chosen: {
                consumer?: components["schemas"]["TimelineReceiver"];
                webhook?: components["schemas"]["TimelineReceiver"];
                /** @description In words. */
                why: string;
            }[];
            /** @description By stage, then by time. */
            steps: components["schemas"]["TimelineStep"][];
            /** @description Nodes that did not answer in time. What they know is missing. */
            unreachable: components["schemas"]["TimelineNode"][];
        };
        TimelineNode: {
            id: number;
            name: string | null;
        };
        TimelineReceiver: {
            /** Format: uuid */
            id: string;
            name: string;
        };
        TimelineStep: {
            /** @description pending: how many events the webhook or the consumer has to be done with before; 0 if it has come to the event. */
            ahead?: number;
            /**
             * Format: date-time
             * @description By the clock of the node, in microseconds; attempts and what follows them by the cluster's time, in milliseconds. null if it is not known.
             */
            at: string | null;
            /** @description attempt: its number in the delivery, from 1. */
            attempt?: number;
            /** @description received: the id of the token or the ingest source, or of the app whose client published; null is the admin. */
            by?: string | null;
            /** @description attempt: how it ended. */
            class?: components["schemas"]["AttemptClass"];
            consumer?: components["schemas"]["TimelineReceiver"];
            /** @description attempt. */
            duration_ms?: number;
            /** @description attempt: why it failed, as far as that is stored: of the last 20 attempts of each webhook, and of dead letters. */
            error?: string | null;
            /** @enum {unknown} */
            kind: "received" | "proposed" | "committed" | "applied" | "delivered" | "attempt" | "acknowledged" | "dead_letter" | "pending";
            /** @description committed: the index of the log entry. */
            log_index?: number;
            /**
             * Format: date-time
             * @description pending: when the next attempt is due, if that is known.
             */
            next_attempt_at?: string | null;
            node: components["schemas"]["TimelineNode"] | null;
            /**
             * @description attempt.
             * @enum {unknown}
             */
            outcome?: "delivered" | "failed" | "gave_up";
            /** @description proposed: its name, as node, incarnation and number. */
            proposal?: string | null;
            /**
             * @description received.
             * @enum {unknown}
             */
            protocol?: "rest" | "pusher" | "phoenix" | "live" | "ingest";
            /**
             * @description pending: why it waits. `paused`, `disabled`: the webhook is not active. `retry`: it was tried and failed, or a reader did not take it. `order`: an earlier event of its key comes first. `pause`: the receiver asked for a pause. `unread`: no reader of the consumer has acknowledged it. `behind`: the webhook has not come to it. `next`: it is its turn.
             * @enum {unknown}
             */
            reason?: "paused" | "disabled" | "retry" | "order" | "pause" | "unread" | "behind" | "next";
            /** @description attempt: whether somebody asked to have the event delivered again. */
            replay?: boolean;
            /** @description delivered: how long the slowest of them waited for it (microseconds). */
            slowest_us?: number;
            /** @description delivered: sockets of the node that were handed the event, or events that came with it. */
            sockets?: number;
            /** @description attempt: the status of the answer. */
            status?: number | null;
            /** @description delivered: subscriptions of the node that have not come to the event yet. */
            waiting?: number;
            webhook?: components["schemas"]["TimelineReceiver"];
        };
        Token: {
            /** Format: date-time */
            expires_at: string | null;
            /** @description The beginning of the SHA-256 of the token's text. It says which token a known text is. */
            fingerprint: string;
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            inserted_at: string;
            name: string;
            scopes: components["schemas"]["Scopes"];
            subjects: string[] | null;
        };
        /**
         * @description Shown once.
         * @example wp_…
         */
        TokenText: string;
        /**
         * @description The trace that the event belongs to. Absent if it belongs to none. Pages of events, readers of consumers and dead letters have it; answers to publishers and webhook bodies do not.
         * @example 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
         */
        Traceparent: string;
        UsagePeriod: {
            /** @description Requests to webhooks, with tests. */
            attempts: number;
            /** @description Events that were handed to subscriptions (sockets, streams, long polls) and to readers of consumers; each counts for each of them. */
            deliveries: number;
            /** @description Bytes of these events, as they were handed over: in the form of the protocol, compressed where the client agreed to that. */
            delivery_bytes: number;
            /** @description Bytes of these events, as they are stored. */
            event_bytes: number;
            /** @description Events that were stored, with those of the server. Ephemeral events are not stored. */
            events: number;
            /** @description Those of them that delivered nothing. */
            failed_attempts: number;
            /**
             * Format: date-time
             * @description When the period began.
             */
            from: string;
        };
        Vote: {
            game?: components["schemas"]["GameFacts"];
            session: components["schemas"]["SessionFacts"] & unknown;
            totals?: Record<string, never>;
            vote: {
                /** @enum {unknown} */
                type: "up" | "down";
                username: string;
            };
        };
        Webhook: components["schemas"]["WebhookState"] & {
            active: boolean;
            /** Format: date-time */
            inserted_at: string;
        };
        WebhookFilter: {
            /** @description The beginning of the subject. */
            channel_prefix?: string | null;
            /**
             * @description The kind of subject: `map` is the map's own, `private` and `presence` are those that begin with `private-` and `presence-`, `public` all others.
             * @enum {unknown}
             */
            channel_type?: "map" | "public" | "private" | "presence" | null;
            /** @example payload.value > 1e9 */
            expression?: string | null;
            /** @description Subjects, and patterns with `*`. Without this and the two below, only the map's own subject, and in the profiles pusher and broadcasting the lifecycle events of channels. */
            subjects?: string[] | null;
        } | null;
        /** @description A new webhook needs `url` or `lambda`. Absent settings have the defaults of the profile. */
        WebhookForm: {
            /** @default true */
            active: boolean;
            /**
             * @deprecated
             * @description The same as auto_disable_seconds.
             */
            auto_disable?: false | number;
            /** @description Seconds of failure after which it is disabled; null: never. `auto_disable`, with false for never, is accepted too. */
            auto_disable_seconds?: number | null;
            batch?: components["schemas"]["Batch"];
            /** @default application/json */
            content_type: string | null;
            /** @description The same as active. */
            enabled?: boolean;
            /** @description The same as events. */
            event_types?: unknown;
            /**
             * @description `*`, or types and patterns of types.
             * @default *
             */
            events: string | string[];
            filter?: string | components["schemas"]["WebhookFilter"];
            /** @description `***` leaves a value as it is. Headers of the connection and those that the profile makes, such as its signature, are refused. If the scheme, host or port of the url or the function changes, all headers must be given again, with their values. */
            headers?: {
                [key: string]: string;
            };
            /** @description The value of X-Pusher-Key; null is the map's id. A new webhook of the profile `pusher` that has the secret of an app of the map gets the app's key. */
            key?: string | null;
            lambda?: components["schemas"]["Lambda"];
            /**
             * @default POST
             * @enum {unknown}
             */
            method: "POST" | "PUT";
            name?: string | null;
            /**
             * @default none
             * @enum {unknown}
             */
            ordering: "none" | "key" | "strict";
            /** @description An expression; events with the same value wait for each other. */
            ordering_key?: string | null;
            profile?: components["schemas"]["Profile"];
            rate_limit?: number | components["schemas"]["Rate"];
            retry?: components["schemas"]["Retry"];
            secret?: components["schemas"]["Secret"];
            /** @description For the profile template: a JSON document or a text with expressions in ${…}. */
            template?: string | null;
            timeout_ms?: number;
            /** @description http or https. Addresses that are not public are refused unless the node allows them. The part after # is never sent and not kept. For discord 2038 bytes, since wait=true is added. */
            url?: string;
        };
        WebhookPreview: {
            /** @description Whether the settings choose the event. */
            chosen: boolean;
            /** @description Why there would be no request: for a template, what fails and where. */
            error: string | null;
            /** @description Null: the map has no stored event. Then all other members are null or false. */
            event: components["schemas"]["Event"] | null;
            /** @description What would be sent, also for an event that is not chosen. Null: there would be no request, and `error` says why. */
            request: components["schemas"]["PreviewedRequest"] | null;
            /** @description Why they do not. */
            why: string | null;
        };
        /** @description How many webhooks there are, and how many are in each state. */
        WebhookStandings: {
            behind: number;
            disabled: number;
            failing: number;
            healthy: number;
            losing: number;
            paused: number;
            throttled: number;
            total: number;
        };
        /** @description The settings and the state of delivery. */
        WebhookState: {
            auto_disable_seconds?: number | null;
            batch?: components["schemas"]["Batch"];
            consecutive_failures: number;
            content_type?: string | null;
            dead_letters: number;
            delivered?: number;
            disabled_at?: components["schemas"]["Time"];
            disabled_reason?: string | null;
            events: string[];
            failed_attempts?: number;
            failing_since?: components["schemas"]["Time"];
            filter?: components["schemas"]["WebhookFilter"];
            given_up?: number;
            headers?: {
                [key: string]: "***";
            };
            /** Format: uuid */
            id: string;
            key?: string | null;
            last_delivery_at: components["schemas"]["Time"];
            last_error: string | null;
            /**
             * Format: date-time
             * @description It has lost events since then, because it is further behind than retention waits.
             */
            losing_since?: string | null;
            /** Format: uuid */
            map_id: string;
            /** @enum {unknown} */
            method?: "POST" | "PUT";
            /** @description Events that retention removed before they were delivered. */
            missed?: number;
            name: string;
            /**
             * Format: date-time
             * @description Time of the next attempt, after the pause that a failing receiver gets; null if nothing waits or the webhook is not active.
             */
            next_attempt_at?: string | null;
            /**
             * Format: date-time
             * @description Time of the oldest event that it has not yet looked at or delivered.
             */
            oldest_at?: string | null;
            /** @enum {unknown} */
            ordering?: "none" | "key" | "strict";
            ordering_key?: string | null;
            /** @enum {unknown} */
            origin?: "api" | "config";
            /** @description The node that delivers its events. */
            owner?: number | null;
            /** @description The name of that node; null with a portal link. */
            owner_name?: string | null;
            profile: components["schemas"]["Profile"];
            /** @description Events that it has not yet looked at or delivered, whether or not it wants them. */
            queue_depth: number;
            rate_limit?: components["schemas"]["Rate"];
            /** @description How long its last requests took on average, in milliseconds. Null: no attempt that is remembered sent one. */
            request_ms?: number | null;
            retry?: components["schemas"]["Retry"];
            /** @description Events that have failed and wait for their next attempt; queue_depth counts them too. */
            retrying?: number;
            /**
             * Format: date-time
             * @description The time until which the last of the old secrets also signs.
             */
            secret_previous_until?: string | null;
            /**
             * @description throttled: the receiver asked for a pause that has not ended; behind: nothing fails, and the first event that it has not looked at has waited for more than a minute; failing: the last attempts failed, or none can begin, see last_error; losing: retention removes events that it has not got; paused: somebody made it inactive.
             * @enum {unknown}
             */
            state: "healthy" | "throttled" | "failing" | "losing" | "disabled" | "paused" | "behind";
            success_rate?: number | null;
            target: components["schemas"]["Target"];
            template?: string | null;
            timeout_ms?: number;
            /** Format: date-time */
            updated_at: string;
            /** @description The URL of a chat (by the profile, or by the form of the URL) is shown without its secret part; null for functions, and at a node that lacks the key of webhooks. */
            url: string | null;
            /** @description The promises of this webhook that other settings break, in words. */
            warnings?: string[];
        };
        /** @description Absent settings stay. The answer of GET may be changed and sent back: what is no setting is ignored, and so is a `url` that is null. */
        WebhookUpdate: {
            /** @default true */
            active: boolean;
            /**
             * @deprecated
             * @description The same as auto_disable_seconds.
             */
            auto_disable?: false | number;
            /** @description Seconds of failure after which it is disabled; null: never. `auto_disable`, with false for never, is accepted too. */
            auto_disable_seconds?: number | null;
            batch?: components["schemas"]["Batch"];
            /** @description Ignored. */
            consecutive_failures?: unknown;
            /** @default application/json */
            content_type: string | null;
            /** @description Ignored. */
            created_at?: unknown;
            /** @description Ignored. */
            dead_letters?: unknown;
            /** @description Ignored. */
            delivered?: unknown;
            /** @description Ignored. */
            disabled_at?: unknown;
            /** @description Ignored. */
            disabled_reason?: unknown;
            /** @description The same as active. */
            enabled?: boolean;
            /** @description The same as events. */
            event_types?: unknown;
            /**
             * @description `*`, or types and patterns of types.
             * @default *
             */
            events: string | string[];
            /** @description Ignored. */
            failed_attempts?: unknown;
            /** @description Ignored. */
            failing_since?: unknown;
            filter?: string | components["schemas"]["WebhookFilter"];
            /** @description Ignored. */
            given_up?: unknown;
            /** @description `***` leaves a value as it is. Headers of the connection and those that the profile makes, such as its signature, are refused. If the scheme, host or port of the url or the function changes, all headers must be given again, with their values. */
            headers?: {
                [key: string]: string;
            };
            /** @description Ignored. */
            id?: unknown;
            /** @description Ignored. */
            inserted_at?: unknown;
            /** @description The value of X-Pusher-Key; null is the map's id. A new webhook of the profile `pusher` that has the secret of an app of the map gets the app's key. */
            key?: string | null;
            lambda?: components["schemas"]["Lambda"];
            /** @description Ignored. */
            last_delivery_at?: unknown;
            /** @description Ignored. */
            last_error?: unknown;
            /** @description Ignored. */
            losing_since?: unknown;
            /** @description Ignored. */
            map_id?: unknown;
            /**
             * @default POST
             * @enum {unknown}
             */
            method: "POST" | "PUT";
            /** @description Ignored. */
            missed?: unknown;
            name?: string | null;
            /** @description Ignored. */
            next_attempt_at?: unknown;
            /** @description Ignored. */
            oldest_at?: unknown;
            /**
             * @default none
             * @enum {unknown}
             */
            ordering: "none" | "key" | "strict";
            /** @description An expression; events with the same value wait for each other. */
            ordering_key?: string | null;
            /** @description Ignored. */
            origin?: unknown;
            /** @description Ignored. */
            owner?: unknown;
            /** @description Ignored. */
            owner_name?: unknown;
            profile?: components["schemas"]["Profile"];
            /** @description Ignored. */
            queue_depth?: unknown;
            rate_limit?: number | components["schemas"]["Rate"];
            retry?: components["schemas"]["Retry"];
            /** @description Ignored. */
            retrying?: unknown;
            secret?: components["schemas"]["Secret"];
            /** @description Ignored. */
            secret_previous_until?: unknown;
            /** @description Ignored. */
            state?: unknown;
            /** @description Ignored. */
            success_rate?: unknown;
            /** @description Ignored. */
            target?: unknown;
            /** @description For the profile template: a JSON document or a text with expressions in ${…}. */
            template?: string | null;
            timeout_ms?: number;
            /** @description Ignored. */
            updated_at?: unknown;
            /** @description http or https. Addresses that are not public are refused unless the node allows them. The part after # is never sent and not kept. For discord 2038 bytes, since wait=true is added. */
            url?: string | null;
            /** @description Ignored. */
            warnings?: unknown;
        };
    };
    responses: {
        /** @description The query, a header or the body is wrong; nothing was changed. */
        BadRequest: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The rules, in order. */
        ChannelRules: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["ChannelRule"][];
                };
            };
        };
        /** @description The state of what the request is about does not allow it; nothing was changed. */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The session. */
        ConsoleSession: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["ConsoleSession"];
                };
            };
        };
        /** @description Refused; nothing was changed. */
        Error: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description Refused; nothing was changed. Browsers, which name `text/html` in `Accept`, get a page that says it. */
        ErrorPage: {
            headers: {
                /** @description Seconds, where another try may succeed. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
                "text/html": string;
            };
        };
        /** @description The token does not permit this. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The request is wrong; nothing was changed. If members of the body are wrong, `error` is `Validation failed`, `code` is `validation_failed`, and `errors` and `details` list all faults. */
        Invalid: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The issuers, by name. */
        Issuers: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: {
                        issuers: (components["schemas"]["IssuerBase"] & {
                            /** Format: date-time */
                            inserted_at: string;
                        })[];
                    };
                };
            };
        };
        /** @description Not now: nothing was changed, and another try may succeed after `Retry-After`. */
        Later: {
            headers: {
                /** @description Seconds. */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description There are as many as there may be; nothing was changed. */
        LimitReached: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The answer in the form of Phoenix. */
        LongPoll: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    messages?: unknown[];
                    /** @description The status that clients of Phoenix read. */
                    status: number;
                    /** @description The session's token. */
                    token?: string | null;
                };
            };
        };
        /** @description The map. */
        Map: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["Map"];
                    unreachable?: components["schemas"]["SilentNodes"];
                };
            };
        };
        /** @description The periods, oldest first. */
        MapUsage: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["MapUsage"];
                };
            };
        };
        /** @description The map has no such consumer; or the error says what else is missing. */
        NoConsumer: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description A WebSocket is opened here. */
        NotAWebSocket: {
            headers: {
                /** @description The version that is spoken. */
                "Sec-WebSocket-Version"?: "13";
                /** @description What to ask for. */
                Upgrade?: "websocket";
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description There is no such thing, or the token does not open it: both look the same. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The body has another media type or a coding. */
        NotJson: {
            headers: {
                /** @description The codings that are read: none. */
                "Accept-Encoding"?: "identity";
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The map has no such webhook: `error` is `Webhook not found`. Or the error says what else is missing. */
        NoWebhook: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The page or file. `ETag` changes with its content; a reader that sends it in `If-None-Match` gets 304. */
        Page: {
            headers: {
                /** @description How long it may be kept. */
                "Cache-Control"?: string;
                /** @description For pages: nothing is loaded from elsewhere, and no script stands in a page. */
                "Content-Security-Policy"?: string;
                /** @description The version of the content. */
                ETag?: string;
                [name: string]: unknown;
            };
            content: {
                "application/json": unknown;
                "application/yaml": unknown;
                "image/svg+xml": string;
                "text/css": string;
                "text/html": string;
                "text/javascript": string;
            };
        };
        /** @description Refused. `error` is a sentence. */
        PlainError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The replay. */
        Replay: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["Replay"];
                };
            };
        };
        /** @description No token (401, `Access token required`), or an unknown one (403, `Invalid or expired token`). Then `error` is that sentence. */
        SessionError: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description Published. The answer is the event's data, with the session's id and the event. */
        SessionEvent: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["SessionEvent"];
            };
        };
        /** @description The body came too slowly. The connection ends. */
        Timeout: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The body, an event or a batch is larger than it may be. */
        TooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description No valid token came with the request. */
        Unauthorized: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The request is not signed by the app; nothing of its body was read. `error` says why: signature_missing, signature_version, invalid_timestamp, timestamp_expired, unknown_key, invalid_signature or body_changed. */
        Unsigned: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Error"];
            };
        };
        /** @description The webhook. */
        Webhook: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["Webhook"];
                };
            };
        };
        /** @description The webhook with its secret. */
        WebhookWithSecret: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/json": {
                    data: components["schemas"]["Webhook"] & {
                        secret: components["schemas"]["Secret"];
                    };
                };
            };
        };
    };
    parameters: {
        /** @description The app id of the map's credentials. */
        app: string;
        /** @description A key of the app. */
        auth_key: string;
        /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
        auth_signature: string;
        /** @description Unix time in seconds; within 600 s of the cluster's time. */
        auth_timestamp: number;
        auth_version: "1.0";
        /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
        body_md5: string;
        channel: components["schemas"]["Channel"];
        /** @description The name of a consumer. */
        consumer: string;
        /** @description Pages of a Phoenix server send it. It has no effect. */
        csrf: string;
        event: components["schemas"]["GivenEventId"];
        /** @description Types, separated by commas. `*` stands for any characters, as in `signature_*`. `*` alone, or no parameter, means all types. An empty value, or an empty item, is refused with `invalid_events`: a variable that was forgotten must not open every type, nor close all of them. */
        events: string;
        /**
         * @description An expression in CEL over `type`, `subject`, `id`, `seq`, `ts`, `map_id`, `payload` and `source`. Only events for which it is true match. An expression that can't be evaluated for an event, for example because a field is missing, is not true.
         * @example payload.value > 1e9
         */
        filter: string;
        /** @description The id of the game within the session. */
        game: components["schemas"]["SessionId"];
        /** @description A repeat with the same key and body publishes nothing more. */
        idempotency: string;
        /** @description Id or slug. */
        map: string;
        /** @description `true`: also what goes on in each map at the moment, as `now`: its connections on all nodes, and how its webhooks and consumers stand. All nodes are asked; the answer waits up to 2.5 seconds for one that does not answer. */
        now: boolean;
        /** @description Id or slug of the map, so that a client token is verified with the keys of its issuers alone. */
        ofMap: string;
        /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
        own: string;
        /** @description The number of the replay. */
        replay: number;
        /** @description The id of the session. */
        session: components["schemas"]["SessionId"];
        source: components["schemas"]["SourceId"];
        /** @description Subjects, separated by commas. `*` stands for any characters, as in `orders-*`; `*` alone means all subjects. Write a comma inside a subject as `\,`. An empty item is the map's own subject. Without this parameter only the map's own subject is read. */
        subjects: string;
        /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
        traceparent: string;
        /** @description The version of the protocol. */
        vsn: "1.0.0" | "2.0.0";
        webhook: string;
    };
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    start: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What this is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description Paths of this node by what is there. */
                        links: {
                            [key: string]: string;
                        };
                        /** @constant */
                        name: "waypost";
                        /** @description Whether the node takes new clients. */
                        ready: boolean;
                        /** @description Why it takes none. */
                        reason?: string | null;
                        version: string;
                    };
                    "text/html": string;
                };
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    listAdminTokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The tokens. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["AdminToken"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createAdminToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    name?: string | null;
                    scopes: ("read" | "operate")[];
                };
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["AdminToken"] & {
                            token: components["schemas"]["TokenText"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    revokeAdminToken: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                token: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No node in reach accepts it any more. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    readAuditLog: {
        parameters: {
            query?: {
                /**
                 * @description Only lines whose method and route, or whose action in the console's words (`create webhook`, `cluster: drain`), have this text in them, in upper or lower case.
                 * @example delete /api/maps
                 */
                action?: string;
                /** @description Only lines older than those of the page before: its `next`. */
                after?: string;
                limit?: number;
                /** @description Only lines about this map: its id or slug. A deleted map is named by its id. */
                map?: string;
                /** @description Only lines with this result: `done`, `unknown`, or the code of an error. */
                result?: string;
                /** @description Only lines of this time or later. */
                since?: string;
                /** @description Only lines before this time. */
                until?: string;
                /** @description Only lines of this caller: `admin`, `token`, `portal`, `unknown`, or the id or the name of a token. */
                who?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["AuditLine"][];
                        /** @description What to give as `after` for the next page; null on the last one. */
                        next: string | null;
                        /** @description Nodes that did not answer: their lines are missing. */
                        unreachable: components["schemas"]["NamedNode"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    logIn: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @description A map's token. */
                    key: string;
                };
            };
        };
        responses: {
            /** @description A client token. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        token: string;
                    };
                };
            };
            400: components["responses"]["PlainError"];
            401: components["responses"]["PlainError"];
            403: components["responses"]["PlainError"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    operate: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                operation: "add" | "remove" | "promote" | "demote" | "drain" | "undrain" | "transfer-leader" | "step-down" | "snapshot" | "restore";
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description host:port */
                    address?: string | null;
                    /** @default false */
                    force?: boolean;
                    /** @description A member: its id, its name, or the address of its peer or client port. */
                    node?: number | string | null;
                };
            };
        };
        responses: {
            /** @description Done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            /** @description The address of its peer port. */
                            address?: string | null;
                            leader_address?: string | null;
                            leader_id?: number | null;
                            leader_name?: string | null;
                            /** @description The name of that node. */
                            name?: string | null;
                            node?: number | null;
                            nodes?: {
                                durable_index?: number | null;
                                id?: number;
                                name?: string | null;
                                purged_index?: number | null;
                            }[];
                            operation: string;
                            run?: string;
                            /** @enum {unknown} */
                            state?: "member" | "awaited";
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    backup: {
        parameters: {
            query?: {
                /** @description With the key that encrypts webhooks. */
                with_key?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The backup. */
            200: {
                headers: {
                    "waypost-backup-current"?: boolean;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    clusterStatus: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cluster. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ClusterStatus"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listMaps: {
        parameters: {
            query?: {
                /** @description Only maps after this one: the cursor of the page before. */
                after?: string;
                limit?: number;
                /** @description `true`: also what goes on in each map at the moment, as `now`: its connections on all nodes, and how its webhooks and consumers stand. All nodes are asked; the answer waits up to 2.5 seconds for one that does not answer. */
                now?: components["parameters"]["now"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. If `has_more` is true, ask again with `after` = `cursor`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** Format: uuid */
                        cursor: string | null;
                        data: components["schemas"]["Map"][];
                        has_more: boolean;
                        unreachable?: components["schemas"]["SilentNodes"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createMap: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["MapCreate"];
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Map"] & {
                            token: components["schemas"]["TokenText"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showMap: {
        parameters: {
            query?: {
                /** @description `true`: also what goes on in each map at the moment, as `now`: its connections on all nodes, and how its webhooks and consumers stand. All nodes are asked; the answer waits up to 2.5 seconds for one that does not answer. */
                now?: components["parameters"]["now"];
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Map"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteMap: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    updateMap: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["MapUpdate"];
            };
        };
        responses: {
            200: components["responses"]["Map"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    channelRules: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["ChannelRules"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    setChannelRules: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChannelRule"][];
            };
        };
        responses: {
            200: components["responses"]["ChannelRules"];
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    revokeClientTokens: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    jti?: string;
                    sub?: string;
                };
            };
        };
        responses: {
            /** @description Revoked. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listConnections: {
        parameters: {
            query?: {
                /** @description Only connections after this one: `next` of the page before. */
                after?: string;
                limit?: number;
                /** @description Only connections of this protocol. */
                protocol?: components["schemas"]["ConnectionProtocol"];
                /** @description Only connections that get the events of this subject. */
                subject?: components["schemas"]["ShownSubject"];
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ClientConnection"][];
                        /** @description What to give as `after` for the next page; null on the last one. */
                        next: string | null;
                        /** @description Nodes that did not answer: their connections are missing. */
                        unreachable: components["schemas"]["NamedNode"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    closeConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @example 3-000000000000a7 */
                connection: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Closed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listClosedConnections: {
        parameters: {
            query?: {
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ClosedConnection"][];
                        /** @description Nodes that did not answer: what they closed is missing. */
                        unreachable: components["schemas"]["NamedNode"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listConsumers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Consumers. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Consumer"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConsumerForm"];
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Consumer"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The consumer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Consumer"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    putConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConsumerSettings"];
            };
        };
        responses: {
            /** @description The consumer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Consumer"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    updateConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ConsumerSettings"];
            };
        };
        responses: {
            /** @description The consumer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Consumer"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    acknowledge: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    ack_ids: string[];
                };
            };
        };
        responses: {
            /** @description Done. `unknown` ids are of events that were settled before or handed over again. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Settled"];
                };
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listDeadLettersOfConsumer: {
        parameters: {
            query?: {
                /** @description Only events after this seq: the cursor of the page before. */
                after?: number;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        cursor: number | null;
                        data: components["schemas"]["DeadLetter"][];
                        has_more: boolean;
                        total: number;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    purgeDeadLettersOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The number of removed dead letters. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            removed: number;
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showDeadLetterOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The dead letter. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["DeadLetter"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteDeadLetterOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    retryDeadLetterOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It will be delivered again. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["DeadLetter"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    retryDeadLettersOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    since?: components["schemas"]["PastPlace"];
                };
            };
        };
        responses: {
            202: components["responses"]["Replay"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    extendEvents: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    ack_ids: string[];
                    /** @description From now on. Without it, as long as the consumer's setting says. */
                    visibility_ms?: number;
                };
            };
        };
        responses: {
            /** @description Done. `unknown` ids are of events that were settled before or handed over again. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Settled"];
                };
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    refuseEvents: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    ack_ids: string[];
                    /** @description How long they wait. Without it, as long as the retry settings say. */
                    delay_ms?: number;
                };
            };
        };
        responses: {
            /** @description Done. `unknown` ids are of events that were settled before or handed over again. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Settled"];
                };
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    pull: {
        parameters: {
            query?: {
                /** @description The most events. An answer has about 1 MiB of them at most. */
                max?: number;
                /** @description Seconds to wait for the first event. */
                wait?: number;
            };
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description Events; none if none came in time. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Handed"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Error"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    planReplayOfConsumer: {
        parameters: {
            query?: {
                after?: components["schemas"]["GivenEventId"];
                /** @description Count only dead letters. */
                failed_only?: boolean;
                since?: components["schemas"]["PastPlace"];
                until?: string;
            };
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the replay would have. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ReplayPlan"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    replayOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReplayForm"];
            };
        };
        responses: {
            202: components["responses"]["Replay"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listReplaysOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Replays. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Replay"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showReplayOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Replay"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    cancelReplayOfConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It will stop. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    streamConsumer: {
        parameters: {
            query?: {
                /** @description The most events that the stream may have unacknowledged. */
                max?: number;
            };
            header?: never;
            path: {
                /** @description The name of a consumer. */
                consumer: components["parameters"]["consumer"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The frame `connected`, then a frame `message` for each event, with the ack id as its id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoConsumer"];
            429: components["responses"]["Error"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    backfill: {
        parameters: {
            query?: {
                /** @description Only events after this one: the cursor of the page before. */
                after?: components["schemas"]["GivenEventId"];
                /** @description Types, separated by commas. `*` stands for any characters, as in `signature_*`. `*` alone, or no parameter, means all types. An empty value, or an empty item, is refused with `invalid_events`: a variable that was forgotten must not open every type, nor close all of them. */
                events?: components["parameters"]["events"];
                /**
                 * @description An expression in CEL over `type`, `subject`, `id`, `seq`, `ts`, `map_id`, `payload` and `source`. Only events for which it is true match. An expression that can't be evaluated for an event, for example because a field is missing, is not true.
                 * @example payload.value > 1e9
                 */
                filter?: components["parameters"]["filter"];
                limit?: number;
                /** @description From the first event, by seq, of this time or later; the time has an offset. Not with `after`. */
                since?: string;
                /** @description Subjects, separated by commas. `*` stands for any characters, as in `orders-*`; `*` alone means all subjects. Write a comma inside a subject as `\,`. An empty item is the map's own subject. Without this parameter only the map's own subject is read. */
                subjects?: components["parameters"]["subjects"];
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. If `has_more` is true, ask again with `after` = `cursor`. A page may be empty if the filter is narrow. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        cursor: components["schemas"]["EventId"] | null;
                        data: components["schemas"]["Event"][];
                        /** @description A part of the requested history is no longer kept. */
                        gap?: boolean;
                        has_more: boolean;
                        oldest_id?: components["schemas"]["EventId"] | null;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    publish: {
        parameters: {
            query?: never;
            header?: {
                /** @description Remembered for 24 hours; a repeated request with the same key and events lands once, in whatever form it is sent. A map remembers `idempotency_keys` of them; beyond that a new key is answered 429 `too_many_idempotency_keys`. */
                "Idempotency-Key"?: string;
                /**
                 * @description With `return=minimal` the answer has the ids of the events and nothing else of them, and `Preference-Applied` says so. Not for lines, whose answer is a summary. Other preferences are ignored.
                 * @example return=minimal
                 */
                Prefer?: string;
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewEvent"] | {
                    events: components["schemas"]["NewEvent"][];
                };
                "application/x-ndjson": string;
            };
        };
        responses: {
            /** @description Stored. One event for one, a list for a batch, a summary for lines. */
            201: {
                headers: {
                    /** @description `true` where the key was known and nothing was stored again; not for lines. */
                    "Idempotency-Replayed"?: string;
                    /** @description `return=minimal` where the answer has ids alone. */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Event"] | components["schemas"]["Event"][] | components["schemas"]["Stored"] | components["schemas"]["PublishedId"] | components["schemas"]["PublishedId"][];
                    };
                };
            };
            /** @description Sent to the present subscribers and not stored. Events have an id and no seq. One event for one, a list for a batch, a summary for lines. */
            202: {
                headers: {
                    /** @description `return=minimal` where the answer has ids alone. */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["EphemeralEvent"] | components["schemas"]["EphemeralEvent"][] | components["schemas"]["PassedOn"] | components["schemas"]["PublishedId"] | components["schemas"]["PublishedId"][];
                    };
                };
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["Error"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    traceEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The timeline. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Timeline"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    stream: {
        parameters: {
            query?: {
                /** @description The number of the latest events to send first. */
                backfill?: number;
                /** @description Types, separated by commas. `*` stands for any characters, as in `signature_*`. `*` alone, or no parameter, means all types. An empty value, or an empty item, is refused with `invalid_events`: a variable that was forgotten must not open every type, nor close all of them. */
                events?: components["parameters"]["events"];
                /**
                 * @description An expression in CEL over `type`, `subject`, `id`, `seq`, `ts`, `map_id`, `payload` and `source`. Only events for which it is true match. An expression that can't be evaluated for an event, for example because a field is missing, is not true.
                 * @example payload.value > 1e9
                 */
                filter?: components["parameters"]["filter"];
                last_event_id?: components["schemas"]["GivenEventId"];
                /** @description The same; polyfills of EventSource send it when they reconnect. Takes precedence over `last_event_id`. */
                lastEventId?: components["schemas"]["GivenEventId"];
                /** @description With false no event has an `event` line, so that `onmessage` of a browser gets every type; `type` in the data says which. Frames that are no events (connected, position, refused) keep their names. */
                named?: boolean;
                since?: string;
                /** @description Subjects, separated by commas. `*` stands for any characters, as in `orders-*`; `*` alone means all subjects. Write a comma inside a subject as `\,`. An empty item is the map's own subject. Without this parameter only the map's own subject is read. */
                subjects?: components["parameters"]["subjects"];
            };
            header?: {
                /** @description Takes precedence over the query. An empty one is ignored. */
                "Last-Event-ID"?: components["schemas"]["GivenEventId"];
            };
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description An endless stream. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listSources: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sources. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createSource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SourceSettings"];
            };
        };
        responses: {
            /** @description The source. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showSource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The source. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    changeSource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SourceSettings"];
            };
        };
        responses: {
            /** @description The source. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteSource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    patchSource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SourceSettings"];
            };
        };
        responses: {
            /** @description The source. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listSourceDeliveries: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The requests, the newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["SourceDelivery"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    rotateSourceSecret: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    apiKey?: components["schemas"]["SourceSecret"];
                    jwks?: unknown;
                    /** @description Without it, webhooks.rotation_overlap_seconds. */
                    overlapSeconds?: number;
                    publicKey?: string;
                    secretKey?: components["schemas"]["SourceSecret"];
                };
            };
        };
        responses: {
            /** @description The source. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    endSourceRotation: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The source. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Source"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    issuers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Issuers"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    setIssuers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    issuers: components["schemas"]["IssuerForm"][];
                };
            };
        };
        responses: {
            200: components["responses"]["Issuers"];
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    makePortalLink: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PortalLinkForm"];
            };
        };
        responses: {
            /** @description The link. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            /** Format: date-time */
                            expires_at: string;
                            /**
                             * Format: uri
                             * @description It is a secret. Give it to its user alone.
                             */
                            url: string;
                        };
                    };
                };
            };
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listApps: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The apps. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["App"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createApp: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    app_id?: components["schemas"]["AppName"];
                    /** @default false */
                    client_events?: boolean;
                    /** @description The same as app_id. */
                    id?: components["schemas"]["AppName"];
                    key?: components["schemas"]["AppName"];
                    /** @description null: no limit. */
                    max_connections?: number | null;
                    origins?: components["schemas"]["AppOrigins"];
                    secret?: components["schemas"]["AppSecret"];
                };
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["App"] & {
                            /** @description How the map was prepared for its first app. */
                            map_changes: string[];
                            secret: components["schemas"]["AppSecret"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            /** @description `app_id_taken`: another map has an app with this id. `key_taken`: there is an app with this key. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showApp: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The app. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["App"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteApp: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    updateApp: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                key: string;
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description Whether its clients may publish where no channel rule decides it. */
                    client_events?: boolean;
                    /** @description null: no limit. */
                    max_connections?: number | null;
                    /** @description The whole list, as at the creation; empty: any. */
                    origins?: string[];
                };
            };
        };
        responses: {
            /** @description The app as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["App"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listSubjects: {
        parameters: {
            query?: {
                /** @description Only subjects after this one: the cursor of the page before. */
                after?: components["schemas"]["Subject"];
                limit?: number;
                /** @description Only subjects whose names begin with this. */
                prefix?: components["schemas"]["Subject"];
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        cursor: string | null;
                        data: {
                            /** @description Their bytes, as stored. */
                            bytes: number;
                            /** @description Stored events. */
                            count: number;
                            /** @description Of its oldest stored event; null without one. */
                            first_seq: number | null;
                            last_seq: number | null;
                            subject: components["schemas"]["ShownSubject"];
                            /** @description Subscriptions that name it, of all protocols, over all nodes. A pattern names no subject. */
                            subscriptions: number;
                            /** @description Its members: a user with several connections is one. */
                            users: number;
                        }[];
                        has_more: boolean;
                        /** @description Nodes that did not answer: their subscriptions are missing. Absent if all have answered. */
                        silent_nodes?: number[];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteSubject: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description Percent-encoded. Empty is the map's own: the path ends with a slash. */
                subject: components["schemas"]["Subject"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            /** @description Events. */
                            removed: number;
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    presenceMembers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description Percent-encoded. */
                subject: components["schemas"]["Subject"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The members. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            /** @description What was given about the user at the first join, at most 1 kB of JSON; null if nothing was. */
                            info: unknown;
                            user_id: string;
                        }[];
                        /** @description Whether the subject can have members, by its name and the map's channel rules. */
                        presence: boolean;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listTokens: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The tokens. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Token"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createToken: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /**
                     * Format: date-time
                     * @description When the token ends, as if it were revoked.
                     */
                    expires_at?: string | null;
                    name?: string | null;
                    scopes: components["schemas"]["Scopes"];
                    /** @description Patterns of the subjects that may be read and published to. Not with the scope manage. */
                    subjects?: string[] | null;
                };
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Token"] & {
                            token: components["schemas"]["TokenText"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    revokeToken: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                token: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Revoked. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    mapUsage: {
        parameters: {
            query?: {
                /** @description The length of a period. */
                by?: "hour" | "day";
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["MapUsage"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listWebhooks: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhooks. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Webhook"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WebhookForm"];
            };
        };
        responses: {
            201: components["responses"]["WebhookWithSecret"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Webhook"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    putWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["WebhookUpdate"];
            };
        };
        responses: {
            200: components["responses"]["Webhook"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            409: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    updateWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["WebhookUpdate"];
            };
        };
        responses: {
            200: components["responses"]["Webhook"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listAttempts: {
        parameters: {
            query?: {
                /** @description Only attempts with a larger number; tests have none. */
                after?: number;
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Attempts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Attempt"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listDeadLetters: {
        parameters: {
            query?: {
                /** @description Only events after this seq: the cursor of the page before. */
                after?: number;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        cursor: number | null;
                        data: components["schemas"]["DeadLetter"][];
                        has_more: boolean;
                        total: number;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    purgeDeadLetters: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The number of removed dead letters. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            removed: number;
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showDeadLetter: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The dead letter. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["DeadLetter"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteDeadLetter: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    retryDeadLetter: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: components["parameters"]["event"];
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It will be delivered again. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["DeadLetter"];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    retryDeadLetters: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    since?: components["schemas"]["PastPlace"];
                };
            };
        };
        responses: {
            202: components["responses"]["Replay"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    disableWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            200: components["responses"]["Webhook"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    enableWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /**
                     * @default resume
                     * @enum {unknown}
                     */
                    from?: "resume" | "skip" | "since";
                    since?: components["schemas"]["PastPlace"];
                };
            };
        };
        responses: {
            200: components["responses"]["Webhook"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    planReplay: {
        parameters: {
            query?: {
                after?: components["schemas"]["GivenEventId"];
                /** @description Count only dead letters. */
                failed_only?: boolean;
                since?: components["schemas"]["PastPlace"];
                until?: string;
            };
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the replay would have. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ReplayPlan"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    replay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReplayForm"];
            };
        };
        responses: {
            202: components["responses"]["Replay"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listReplays: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Replays. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Replay"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Replay"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    cancelReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                /** @description The number of the replay. */
                replay: components["parameters"]["replay"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It will stop. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            409: components["responses"]["Conflict"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    rotateSecret: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    /** @description How long the old secret also signs; 24 hours by default. 0 ends all old secrets. If four old ones sign already, the answer is 409. */
                    overlap_seconds?: number;
                    secret?: components["schemas"]["Secret"];
                };
            };
        };
        responses: {
            200: components["responses"]["WebhookWithSecret"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    testWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": {
                    payload?: unknown;
                    type?: components["schemas"]["EventType"];
                };
            };
        };
        responses: {
            /** @description The result, and the request that was made. The test failed if `class` is not `delivered`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Attempt"] & {
                            /** @description As in a preview: nothing secret is shown. Null: there was no request. */
                            request: components["schemas"]["PreviewedRequest"] | null;
                        };
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    fireWebhooks: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "event": "broadcast",
                 *       "data": {
                 *         "channel": "orders",
                 *         "event": "OrderCreated",
                 *         "data": {
                 *           "id": 1
                 *         }
                 *       }
                 *     }
                 */
                "application/json": {
                    /** @description The payload. */
                    data?: {
                        /** @description The channel that the event is about. */
                        channel?: components["schemas"]["Subject"];
                    } & {
                        [key: string]: unknown;
                    };
                    /** @description The event's type, as in `broadcast` or `member_added`. */
                    event: string;
                };
            };
        };
        responses: {
            /** @description Stored. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            id: components["schemas"]["EventId"];
                            seq: number;
                            subject: string;
                        };
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    previewWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Id or slug. */
                map: components["parameters"]["map"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "settings": {
                 *         "profile": "template",
                 *         "template": "{\"text\": \"${type}\"}",
                 *         "filter": "payload.value > 1e9"
                 *       }
                 *     }
                 */
                "application/json": {
                    /**
                     * Format: date-time
                     * @description The time of the attempt; null is now.
                     */
                    at?: string | null;
                    /** @description The number of the attempt; null is the first. */
                    attempt?: number | null;
                    /** @description The id of a stored event. */
                    event?: string | null;
                    /** @description An event that nobody has published, in place of a stored one. Not with `event`. */
                    sample?: components["schemas"]["SampleEvent"] | null;
                    /** @description As in creating a webhook; with `webhook`, as in updating it. */
                    settings?: components["schemas"]["WebhookUpdate"] | null;
                    /** @description The id of the webhook whose settings are the base. */
                    webhook?: string | null;
                };
            };
        };
        responses: {
            /** @description What would be sent. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["WebhookPreview"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    portal: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The link. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            /** Format: date-time */
                            expires_at: string;
                            map: components["schemas"]["NamedMap"];
                            scopes: components["schemas"]["PortalScope"][];
                            theme: components["schemas"]["PortalTheme"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    startSession: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: {
                /** @description A repeat with the same key and body publishes nothing more. */
                "Idempotency-Key"?: components["parameters"]["idempotency"];
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SessionStart"];
            };
        };
        responses: {
            201: components["responses"]["SessionEvent"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["SessionError"];
            403: components["responses"]["SessionError"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    closeSession: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: {
                /** @description A repeat with the same key and body publishes nothing more. */
                "Idempotency-Key"?: components["parameters"]["idempotency"];
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SessionEnd"];
            };
        };
        responses: {
            200: components["responses"]["SessionEvent"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["SessionError"];
            403: components["responses"]["SessionError"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    addGame: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: {
                /** @description A repeat with the same key and body publishes nothing more. */
                "Idempotency-Key"?: components["parameters"]["idempotency"];
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["GameAdd"];
            };
        };
        responses: {
            201: components["responses"]["SessionEvent"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["SessionError"];
            403: components["responses"]["SessionError"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    countPlayers: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: {
                /** @description A repeat with the same key and body publishes nothing more. */
                "Idempotency-Key"?: components["parameters"]["idempotency"];
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description The id of the game within the session. */
                game: components["parameters"]["game"];
                /** @description The id of the session. */
                session: components["parameters"]["session"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PlayerCount"];
            };
        };
        responses: {
            200: components["responses"]["SessionEvent"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["SessionError"];
            403: components["responses"]["SessionError"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    connectLive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The WebSocket is open. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            403: components["responses"]["Forbidden"];
            426: components["responses"]["NotAWebSocket"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    voteLive: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: {
                /** @description A repeat with the same key and body publishes nothing more. */
                "Idempotency-Key"?: components["parameters"]["idempotency"];
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Vote"];
            };
        };
        responses: {
            200: components["responses"]["SessionEvent"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["SessionError"];
            403: components["responses"]["SessionError"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listSessionWebhooks: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhooks. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionWebhook"][];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    createSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WebhookForm"];
            };
        };
        responses: {
            /** @description Created. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionWebhook"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listenToSource: {
        parameters: {
            query?: {
                /** @description Begin with this many of the newest events. */
                backfill?: number;
                /** @description The last event that the reader has; the header Last-Event-ID wins. */
                last_event_id?: components["schemas"]["GivenEventId"];
                /** @description The same for polyfills of EventSource. */
                lastEventId?: components["schemas"]["GivenEventId"];
                /** @description Begin with the first event of this time or later. */
                since?: string;
            };
            header?: never;
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhook. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionWebhook"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    putSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["WebhookUpdate"];
            };
        };
        responses: {
            /** @description The webhook. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionWebhook"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    deleteSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            409: components["responses"]["Error"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    updateSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["WebhookUpdate"];
            };
        };
        responses: {
            /** @description The webhook. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionWebhook"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            409: components["responses"]["Error"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listLogs: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The attempts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Log"][];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    testSessionWebhook: {
        parameters: {
            query?: {
                /** @description Id or slug of the map. Only for the admin token; other tokens belong to one map. */
                map?: components["parameters"]["own"];
            };
            header?: never;
            path: {
                webhook: components["parameters"]["webhook"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is on its way. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        event?: string;
                        message: string;
                        webhook_id?: string;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NoWebhook"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    connectPusher: {
        parameters: {
            query?: {
                /** @description The name of the client library. */
                client?: string;
                /** @description Some libraries send it. It has no effect. */
                flash?: string;
                /** @description The version of the protocol. */
                protocol?: number;
                /** @description Its version. */
                version?: string;
            };
            header?: never;
            path: {
                /** @description A key of an app. */
                key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The WebSocket is open. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["NotFound"];
            426: components["responses"]["NotAWebSocket"];
            default: components["responses"]["Error"];
        };
    };
    publishBatchToChannels: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
            };
            header?: {
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    batch: {
                        channel: components["schemas"]["Channel"];
                        /** @description As for one event. */
                        data: unknown;
                        info?: string;
                        name: string;
                        socket_id?: string;
                    }[];
                };
            };
        };
        responses: {
            /** @description Published. Without any `info` the answer is `{}`, else `batch` has an object for each event. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        batch?: components["schemas"]["ChannelCounts"][];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listChannels: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
                /** @description Only channels whose names begin so. */
                filter_by_prefix?: string;
                /** @description user_count (with filter_by_prefix=presence- or longer) and subscription_count, separated by a comma. */
                info?: string;
            };
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The channels by name. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        channels: {
                            [key: string]: components["schemas"]["ChannelCounts"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    showChannel: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
                /** @description user_count (presence channels), subscription_count and cache (cache channels), separated by commas. */
                info?: string;
            };
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                channel: components["parameters"]["channel"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The channel. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChannelCounts"] & {
                        /** @description The last event. */
                        cache?: {
                            data?: string;
                        } | null;
                        occupied: boolean;
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    listUsers: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
            };
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                channel: components["parameters"]["channel"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The members, sorted by id. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        users: {
                            id: string;
                        }[];
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    publishToChannels: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
            };
            header?: {
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    channel?: components["schemas"]["Channel"];
                    channels?: components["schemas"]["Channel"][];
                    /** @description A string of at most pusher.event_bytes. Another JSON value is sent as its text. */
                    data: unknown;
                    /** @description user_count and subscription_count, separated by a comma: the answer has them for each channel. */
                    info?: string;
                    /** @description The event's type, as EventType. Names that begin with pusher: or pusher_internal: are the protocol's own. */
                    name: string;
                    /** @description The socket that does not get the event. */
                    socket_id?: string;
                };
            };
        };
        responses: {
            /** @description Published. Without `info` the answer is `{}`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        channels?: {
                            [key: string]: components["schemas"]["ChannelCounts"];
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            422: components["responses"]["LimitReached"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    terminateUser: {
        parameters: {
            query: {
                /** @description A key of the app. */
                auth_key: components["parameters"]["auth_key"];
                /** @description HMAC-SHA256 with the secret, in hexadecimal digits, of the method, a line break, the path, a line break, and all other query parameters as `name=value`, sorted by name, joined by `&`, and not percent-encoded. */
                auth_signature: components["parameters"]["auth_signature"];
                /** @description Unix time in seconds; within 600 s of the cluster's time. */
                auth_timestamp: components["parameters"]["auth_timestamp"];
                auth_version: components["parameters"]["auth_version"];
                /** @description The MD5 of the body in hexadecimal digits. Every POST needs it. */
                body_md5?: components["parameters"]["body_md5"];
            };
            header?: never;
            path: {
                /** @description The app id of the map's credentials. */
                app: components["parameters"]["app"];
                user: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description Ended, or there was none: `{}`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unsigned"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    consoleMoved: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The console is at `Location`. */
            308: {
                headers: {
                    /** @description Its path. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    console: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description Empty for the console itself, or a file below `assets/`. It may contain slashes. */
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Page"];
            /** @description The reader has it already. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["NotFound"];
            default: components["responses"]["Error"];
        };
    };
    consoleConfig: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The ways to sign in beside a token. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: {
                            oidc: {
                                /** @description What the button says. */
                                name: string;
                            } | null;
                            version: string;
                        };
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    finishOidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The console is at `Location`. */
            303: {
                headers: {
                    /** @description Its path. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["ErrorPage"];
            403: components["responses"]["ErrorPage"];
            404: components["responses"]["ErrorPage"];
            429: components["responses"]["ErrorPage"];
            502: components["responses"]["ErrorPage"];
            503: components["responses"]["ErrorPage"];
            default: components["responses"]["Error"];
        };
    };
    startOidc: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The issuer is at `Location`. */
            302: {
                headers: {
                    /** @description Its address. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["ErrorPage"];
            502: components["responses"]["ErrorPage"];
            503: components["responses"]["ErrorPage"];
            default: components["responses"]["Error"];
        };
    };
    consoleSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["ConsoleSession"];
            /** @description The request has no cookie of a session: nobody has signed in. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    signIn: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    token: string;
                };
            };
        };
        responses: {
            200: components["responses"]["ConsoleSession"];
            400: components["responses"]["Error"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    signOut: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cookie is removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["NotJson"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    documentation: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The first page is at `Location`. */
            308: {
                headers: {
                    /** @description Its path. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    page: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A page or a file, such as api, openapi.yaml, asyncapi.yaml or ERRORS.html. It may contain slashes. */
                path: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Page"];
            /** @description The reader has it already. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["NotFound"];
            default: components["responses"]["Error"];
        };
    };
    health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It lives. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        status: "ok";
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            400: components["responses"]["BadRequest"];
            default: components["responses"]["Error"];
        };
    };
    portalPage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The path part of a portal link. */
                policy: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Page"];
            /** @description The reader has it already. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["ErrorPage"];
            503: components["responses"]["ErrorPage"];
            default: components["responses"]["Error"];
        };
    };
    ready: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It takes them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        status: "ready";
                    };
                };
            };
            400: components["responses"]["BadRequest"];
            /** @description Starting, waiting for a cluster, draining or drained, removed, a copy of another node, joining, catching up, cut off, or without a leader that has a majority; `reason` says which. */
            503: {
                headers: {
                    /** @description Seconds. */
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @constant */
                        code: "not_ready";
                        message: string;
                        /** @description The same as message. */
                        reason: string;
                        /** @constant */
                        status: "not_ready";
                    };
                };
            };
            default: components["responses"]["Error"];
        };
    };
    pollPhoenix: {
        parameters: {
            query?: {
                /** @description Pages of a Phoenix server send it. It has no effect. */
                _csrf_token?: components["parameters"]["csrf"];
                /** @description Id or slug of the map, so that a client token is verified with the keys of its issuers alone. */
                map?: components["parameters"]["ofMap"];
                /** @description The version of the protocol. */
                vsn?: components["parameters"]["vsn"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["LongPoll"];
            400: components["responses"]["BadRequest"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    pushPhoenix: {
        parameters: {
            query?: {
                /** @description Pages of a Phoenix server send it. It has no effect. */
                _csrf_token?: components["parameters"]["csrf"];
                /** @description Id or slug of the map, so that a client token is verified with the keys of its issuers alone. */
                map?: components["parameters"]["ofMap"];
                /** @description The version of the protocol. */
                vsn?: components["parameters"]["vsn"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": unknown;
                "application/x-ndjson": string;
                "text/plain": string;
            };
        };
        responses: {
            200: components["responses"]["LongPoll"];
            400: components["responses"]["BadRequest"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    connectPhoenix: {
        parameters: {
            query?: {
                /** @description Pages of a Phoenix server send it. It has no effect. */
                _csrf_token?: components["parameters"]["csrf"];
                /** @description Id or slug of the map, so that a client token is verified with the keys of its issuers alone. */
                map?: components["parameters"]["ofMap"];
                /** @description The version of the protocol. */
                vsn?: components["parameters"]["vsn"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The WebSocket is open. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            426: components["responses"]["NotAWebSocket"];
            429: components["responses"]["Later"];
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    ingestAtOtherPath: {
        parameters: {
            query?: {
                /** @description The SHA-256 of a JSON body, which Twilio adds. */
                bodySHA256?: string;
            };
            header?: {
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/cloudevents-batch+json": Record<string, never>[];
                "application/cloudevents+json": Record<string, never>;
                "application/json": components["schemas"]["IngestEvent"] | components["schemas"]["IngestBatch"] | (Record<string, never> | unknown[] | string | number | boolean | null);
                "application/x-www-form-urlencoded": Record<string, never>;
            };
        };
        responses: {
            /** @description A majority has the events. The challenge of Slack is answered with `{"challenge"}`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data?: {
                            ids: components["schemas"]["EventId"][];
                            received: number;
                            /** @description Whether all payloads met the source's schema. */
                            validated: boolean;
                        };
                    };
                };
            };
            /** @description The payload is invalid; nothing was stored. `index` names the bad event of a batch. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The sender is not proved. `error` says why: signature_missing, header_given_twice, signature_malformed, timestamp_expired, invalid_signature, invalid_key, body_changed or invalid_token. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            404: components["responses"]["Error"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["Error"];
            415: components["responses"]["Error"];
            429: components["responses"]["Later"];
            /** @description The server failed; send it again. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
    ingest: {
        parameters: {
            query?: {
                /** @description The SHA-256 of a JSON body, which Twilio adds. */
                bodySHA256?: string;
            };
            header?: {
                /** @description The trace of the request (W3C Trace Context). It is kept with the events and goes out with them. One that is not valid, or that comes twice, is ignored. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                source: components["parameters"]["source"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/cloudevents-batch+json": Record<string, never>[];
                "application/cloudevents+json": Record<string, never>;
                "application/json": components["schemas"]["IngestEvent"] | components["schemas"]["IngestBatch"] | (Record<string, never> | unknown[] | string | number | boolean | null);
                "application/x-www-form-urlencoded": Record<string, never>;
            };
        };
        responses: {
            /** @description A majority has the events. The challenge of Slack is answered with `{"challenge"}`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data?: {
                            ids: components["schemas"]["EventId"][];
                            received: number;
                            /** @description Whether all payloads met the source's schema. */
                            validated: boolean;
                        };
                    };
                };
            };
            /** @description The payload is invalid; nothing was stored. `index` names the bad event of a batch. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description The sender is not proved. `error` says why: signature_missing, header_given_twice, signature_malformed, timestamp_expired, invalid_signature, invalid_key, body_changed or invalid_token. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            404: components["responses"]["Error"];
            408: components["responses"]["Timeout"];
            413: components["responses"]["Error"];
            415: components["responses"]["Error"];
            429: components["responses"]["Later"];
            /** @description The server failed; send it again. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            503: components["responses"]["Later"];
            default: components["responses"]["Error"];
        };
    };
}
