//! The stable codes of error answers. They are all here: no other file writes one as a text.
//!
//! A code names one cause. Its text never changes, so that programs may compare it; messages may change.
//! docs/ERRORS.md has the same table, and a test compares the two.

use serde::{Serialize, Serializer};
use std::fmt;

/// Makes the codes of a table: name, text, statuses, meaning, what to do.
macro_rules! codes {
    ($($name:ident = $text:literal, $statuses:literal, $meaning:literal, $remedy:literal;)*) => {
        /// The stable code of an error answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text that answers show: lower-case letters and underscores.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The HTTP statuses with which it is answered, for the documentation.
            pub const fn statuses(self) -> &'static str {
                match self {
                    $(Self::$name => $statuses,)*
                }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }

            /// What the caller can do, for the documentation.
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)*
                }
            }
        }
    };
}

codes! {
    Unauthorized = "unauthorized", "401",
        "no valid token came with the request",
        "send `Authorization: Bearer TOKEN`, with a token that has not ended and was not revoked";
    Forbidden = "forbidden", "403",
        "the token does not permit this",
        "use a token with the scope, the map or the subject that the message names";
    InvalidToken = "invalid_token", "401, 403", "the token is unknown, revoked or expired", "get a new one";
    NotFound = "not_found", "404",
        "there is no such thing, or the token does not open it",
        "compare the path and the ids with the lists";
    MethodNotAllowed = "method_not_allowed", "405",
        "the path does not take the method",
        "use one of those in `Allow`";
    Timeout = "timeout", "408",
        "the head or the body of the request came too slowly",
        "send it faster, or in smaller parts";
    Refused = "refused", "400–499", "the request was refused before any route saw it", "see the message";
    Internal = "internal", "500",
        "the request failed inside the server",
        "see the log of the node; repeat the request";
    Unavailable = "unavailable", "503",
        "the node can't do this now; nothing was changed",
        "try again after `Retry-After`, or at another node";
    NotReady = "not_ready", "503",
        "the node takes no new clients; only `/readyz` says so",
        "go to another node, or see `reason`";
    UnknownOutcome = "unknown_outcome", "503",
        "the server could not find out in time whether the change was stored",
        "repeat it with the same `Idempotency-Key`";
    DiskFull = "disk_full", "503",
        "a disk of the cluster has no room",
        "make room on it; publishing then resumes by itself";
    InvalidRequest = "invalid_request", "400", "it is no request that HTTP allows", "use an HTTP library";
    HeadersTooLarge = "headers_too_large", "431",
        "the head of the request is too large",
        "send fewer or shorter headers, or a shorter query";
    InvalidHeader = "invalid_header", "400",
        "a header is given twice or has characters that are not ASCII",
        "send it once";
    InvalidQuery = "invalid_query", "400",
        "a query parameter is unknown, given twice, not UTF-8 or contradicts another",
        "see the names in the hint";
    UnsupportedMediaType = "unsupported_media_type", "415",
        "the body has a media type or a coding that the path does not read",
        "send JSON without `Content-Encoding`";
    TooLarge = "too_large", "413",
        "the body, an event or a batch has more bytes or events than it may",
        "send less at once, or raise the limit that is named";
    IncompleteBody = "incomplete_body", "400", "the connection ended before the body did", "send it again";
    InvalidJson = "invalid_json", "400", "the body is not JSON in UTF-8", "check it with a JSON parser";
    TooDeep = "too_deep", "400", "JSON is nested too deeply", "flatten it";
    UnsafeInteger = "unsafe_integer", "400",
        "a whole number is one that JavaScript would change",
        "send it as a text";
    InvalidBody = "invalid_body", "400",
        "members of the body are wrong; `errors` lists all of them",
        "correct the members that are named";
    ValidationFailed = "validation_failed", "400",
        "members of the body of a webhook or consumer are wrong; `errors` lists all of them",
        "correct the members that are named";
    InvalidEvent = "invalid_event", "400",
        "something is no event",
        "an event is `{\"type\", \"payload\"}`, for ingest `{\"event_type\"}`";
    InvalidType = "invalid_type", "400",
        "the type of an event does not have its form",
        "use 1 to 200 characters, without commas and `*`";
    InvalidSubject = "invalid_subject", "400",
        "a subject does not have its form, or is the server's own",
        "use letters, digits and `_=@,.;:/#-`";
    InvalidSubjects = "invalid_subjects", "400",
        "the list of subjects is wrong",
        "name subjects and patterns with `*`";
    ForbiddenSubjects = "forbidden_subjects", "400",
        "the token may not read all of these subjects",
        "name those that it permits";
    InvalidEvents = "invalid_events", "400",
        "the list of event types is wrong or empty",
        "name types and patterns, `*`, or leave it out";
    InvalidFilter = "invalid_filter", "400",
        "the filter is no expression in CEL, or one that is too long",
        "see the position in the message";
    InvalidAfter = "invalid_after", "400",
        "`after` is no position of that list",
        "use the cursor of the page before";
    InvalidSince = "invalid_since", "400",
        "`since` is no time with an offset, nor an event's id where one may stand",
        "use a time such as `2025-06-21T12:34:56Z`";
    InvalidUntil = "invalid_until", "400",
        "`until` is no time with an offset",
        "use a time such as `2025-06-21T12:34:56Z`";
    InvalidBackfill = "invalid_backfill", "400",
        "`backfill` is out of range",
        "use a whole number from 0 to 100000";
    InvalidLastEventId = "invalid_last_event_id", "400",
        "the last event id is no id of an event",
        "leave it out to begin with new events";
    InvalidLimit = "invalid_limit", "400", "`limit` is out of range", "use a whole number from 1 to 1000";
    InvalidPrefix = "invalid_prefix", "400",
        "`prefix` is no beginning of a subject",
        "use the characters of subjects";
    InvalidProtocol = "invalid_protocol", "400",
        "`protocol` is none of those that have connections",
        "see the names in the hint";
    InvalidNamed = "invalid_named", "400", "`named` is neither true nor false", "use one of them";
    InvalidWithKey = "invalid_with_key", "400", "`with_key` is neither true nor false", "use one of them";
    InvalidWait = "invalid_wait", "400", "`wait` is out of range", "use a whole number from 0 to 30";
    InvalidBy = "invalid_by", "400", "`by` is neither hour nor day", "use one of them";
    InvalidMax = "invalid_max", "400", "`max` is out of range", "use a whole number from 1 to 500";
    InvalidIdempotencyKey = "invalid_idempotency_key", "400",
        "the `Idempotency-Key` does not have its form",
        "use 1 to 255 visible ASCII characters";
    IdempotencyKeyReused = "idempotency_key_reused", "400, 422",
        "the `Idempotency-Key` was used for another body",
        "use a new key for each request";
    IdempotencyOfEphemeral = "idempotency_of_ephemeral", "400",
        "ephemeral events take no `Idempotency-Key`",
        "leave it out";
    TooManyIdempotencyKeys = "too_many_idempotency_keys", "429",
        "the map remembers as many keys as it may",
        "publish without a key, or wait";
    EmptyBatch = "empty_batch", "400", "a batch has no event", "send at least one";
    MixedDurability = "mixed_durability", "400",
        "some events of a request are stored and others ephemeral",
        "send them in separate requests";
    EphemeralSubject = "ephemeral_subject", "400, 409",
        "the channel rules make the subject ephemeral",
        "name another one, or change the rules";
    SeveralSubjects = "several_subjects", "400",
        "a push does not say to which of several subjects it goes",
        "join the subject alone";
    NoClientEvents = "no_client_events", "403",
        "the channel rules let clients publish nothing there",
        "add a rule with `client_events`";
    SystemMap = "system_map", "403",
        "the system map does not allow this: only the server publishes to it, and it stays as it is",
        "read it, give it webhooks and consumers, or change its limits and retention";
    MapNeeded = "map_needed", "400",
        "the admin token opens every map, and none is named",
        "name it, as in `?map=ID`";
    SlugTaken = "slug_taken", "409", "another map has the slug", "choose another one";
    IdTaken = "id_taken", "409", "another map has the id", "leave it out";
    NameTaken = "name_taken", "409", "the map has a consumer of that name", "choose another name";
    UrlTaken = "url_taken", "409", "another webhook of the map has the same target", "change that webhook";
    AppIdTaken = "app_id_taken", "409", "another map has an app with that id", "choose another one";
    KeyTaken = "key_taken", "409", "there is an app with that key", "leave it out";
    Configured = "configured", "409", "the configuration file defines it", "change it there";
    ChangedMeanwhile = "changed_meanwhile", "409",
        "another request changed it meanwhile",
        "read it again and repeat the change";
    LimitReached = "limit_reached", "400, 422",
        "there are as many as there may be",
        "delete what is not needed, or raise the limit that is named";
    MapQueueFull = "map_queue_full", "429",
        "too much of the map waits for the log",
        "wait for the answers to earlier requests";
    PublishRate = "publish_rate", "429",
        "the map publishes faster than it may",
        "wait as long as `Retry-After` says";
    RequestRate = "request_rate", "429",
        "the token makes more requests than it may",
        "wait as long as `Retry-After` says";
    TooManyFailures = "too_many_failures", "429",
        "too many wrong tokens or signatures came from the address",
        "wait, and correct the token";
    TooManyConnections = "too_many_connections", "429",
        "the map has as many sockets as it may",
        "close some, or raise the limit";
    TooManyJoins = "too_many_joins", "429",
        "the map's clients join faster than they may",
        "wait as long as `Retry-After` says";
    TooManyChannelJoins = "too_many_channel_joins", "429",
        "clients join more channels of the map in a minute than they may",
        "wait as long as `Retry-After` says";
    TooManyClientJoins = "too_many_client_joins", "429",
        "the client joins faster than it may",
        "wait as long as `Retry-After` says";
    TooManyFilters = "too_many_filters", "429",
        "the map's subscribers have as many different filters as they may",
        "use fewer filters";
    TooManyPatterns = "too_many_patterns", "429",
        "the map's subscribers have as many patterns as they may",
        "use fewer patterns";
    TooManySessions = "too_many_sessions", "429",
        "the token or the map has as many sessions on the node as it may",
        "close some";
    TooManySockets = "too_many_sockets", "429", "the address has as many sockets as it may", "close some";
    TooManyReaders = "too_many_readers", "429", "as many readers of consumers wait as may", "read with fewer";
    TooMuchWaits = "too_much_waits", "409",
        "too much work waits for the node that delivers",
        "wait, or cancel replays";
    EventNotFound = "event_not_found", "404",
        "the map has no such event, or no longer",
        "see the list of events";
    WebhookNotFound = "webhook_not_found", "404", "the map has no such webhook", "see the list of webhooks";
    WebhookInactive = "webhook_inactive", "409", "the webhook is not active", "enable it first";
    WebhookUnusable = "webhook_unusable", "422",
        "the webhook can't be used as it is set",
        "change its settings";
    TooManySecrets = "too_many_secrets", "409",
        "as many old secrets of the webhook still sign as may",
        "end them with `overlap_seconds` 0, or wait";
    ConsumerNotFound = "consumer_not_found", "404",
        "the map has no such consumer",
        "see the list of consumers";
    UnknownConnection = "unknown_connection", "404",
        "the map has no such connection, or no longer",
        "see the list of connections";
    UnknownEvent = "unknown_event", "400",
        "a reader of a consumer sent a message of an unknown name",
        "send `ack`, `nack` or `extend`";
    InvalidParams = "invalid_params", "400", "the parameters of a join are wrong", "see the message";
    InvalidPresence = "invalid_presence", "400", "the parameter `presence` is wrong", "see the message";
    InvalidStar = "invalid_star", "400", "the parameter `star` is neither true nor false", "use one of them";
    InvalidPositions = "invalid_positions", "400",
        "the parameter `positions` is neither true nor false",
        "use one of them";
    UnknownVersion = "unknown_version", "400",
        "`vsn` is no version that is spoken here",
        "use `2.0.0` or `1.0.0`";
    InvalidMessage = "invalid_message", "400", "a line of a long poll is no message", "send JSON, or base64";
    TooManyMessages = "too_many_messages", "400", "a long poll sends too many messages at once", "send fewer";
    UpgradeRequired = "upgrade_required", "426",
        "a WebSocket is opened here",
        "connect with a WebSocket client";
    WebsocketVersion = "websocket_version", "426",
        "the version of WebSocket is not spoken here",
        "use version 13";
    BadHandshake = "bad_handshake", "400", "the request opens no WebSocket", "compare it with RFC 6455";
    SignatureMissing = "signature_missing", "401", "the request is not signed", "sign it as the hint says";
    SignatureVersion = "signature_version", "401",
        "`auth_version` is not 1.0",
        "use a server library of Pusher";
    SignatureMalformed = "signature_malformed", "401",
        "the signature does not have the form that the sender gives it",
        "compare the header with the sender's documentation";
    HeaderGivenTwice = "header_given_twice", "401",
        "a header of the signature is given twice",
        "send it once";
    InvalidTimestamp = "invalid_timestamp", "400, 401",
        "a time does not have its form",
        "use Unix seconds, or a time with an offset";
    TimestampExpired = "timestamp_expired", "401",
        "the time of the signature is too far from the cluster's",
        "set the clock of the sender";
    UnknownKey = "unknown_key", "401",
        "no app has the app id of the path and this key",
        "compare both with the credentials of the map";
    InvalidKey = "invalid_key", "401",
        "the key is not the source's",
        "compare it with the settings of the source";
    InvalidSignature = "invalid_signature", "401",
        "the signature is not one of this request",
        "compare the secret; sign the bytes that are sent";
    BodyChanged = "body_changed", "401",
        "the body is not the one that was signed",
        "sign the bytes that are sent";
    InvalidChannel = "invalid_channel", "400",
        "a channel's name does not have its form",
        "use letters, digits and `_=@,.;-`, at most 200";
    InvalidInfo = "invalid_info", "400",
        "`info` names an attribute that is unknown or not known of the channel",
        "see the message";
    NoPresenceChannel = "no_presence_channel", "400",
        "only presence channels have users",
        "name a presence channel";
    TooManyChannels = "too_many_channels", "400",
        "more channels are occupied than one answer has",
        "ask with a longer `filter_by_prefix`";
    InvalidUser = "invalid_user", "400", "the id of a user does not have its form", "use 1 to 128 bytes";
    SourceInactive = "source_inactive", "404", "the ingest source takes no events now", "make it active";
    SourceRate = "source_rate", "429",
        "the ingest source gets more requests than it may",
        "wait as long as `Retry-After` says";
    TooManyEvents = "too_many_events", "400",
        "a request brings more events than it may",
        "send several requests";
    InvalidForm = "invalid_form", "400", "a form has too many fields", "send fewer";
    InvalidUserId = "invalid_user_id", "400", "`user_id` is neither a text nor a number", "correct it";
    InvalidProperties = "invalid_properties", "400", "`properties` is no object", "correct it";
    InvalidPayload = "invalid_payload", "400",
        "the payload is not allowed, by the source's schema or as JSON",
        "see the message";
    InvalidMapping = "invalid_mapping", "400",
        "the source's mapping gives no event for this body",
        "compare the mapping with the body";
    InvalidId = "invalid_id", "400", "the id of an event is too long", "use a shorter one";
    InvalidTime = "invalid_time", "400",
        "the time of an event does not have its form",
        "use a time with an offset, or a number";
    InvalidSource = "invalid_source", "400",
        "the id is none of an ingest source",
        "compare it with the list of sources";
    InvalidSession = "invalid_session", "400",
        "the id of a session or a game does not have its form",
        "use a whole number, or a text of a subject's characters";
    OtherSession = "other_session", "409", "path and body name different sessions", "leave `session.id` out";
    OtherToken = "other_token", "400",
        "the new token permits something else than the one before",
        "connect with it instead";
    UnknownNode = "unknown_node", "404", "the cluster has no such member", "see `waypost cluster status`";
    AmbiguousNode = "ambiguous_node", "409",
        "several nodes have this name or address",
        "name one of `candidates` by its id";
    LastVoter = "last_voter", "409", "it is the last voter", "promote another node first";
    WouldLoseMajority = "would_lose_majority", "409",
        "too few voters would be left",
        "start the voters that are down";
    Learner = "learner", "409", "the node has no vote", "promote it first";
    NodeUnreachable = "node_unreachable", "409",
        "the node does not answer",
        "start it, or see why it is cut off";
    NodeBehind = "node_behind", "409", "the node has not caught up within the time that it was given; the message says how many log entries it lacks", "wait until it has";
    LastServing = "last_serving", "409", "no other node serves clients", "use `force` to do it anyway";
    NoSuccessor = "no_successor", "409",
        "no other voter can lead",
        "start another voter, or promote a learner";
    OidcRefused = "oidc_refused", "401",
        "the sign-in by OpenID Connect did not succeed",
        "begin again at `/console/`; the message says what was wrong";
    OidcUnavailable = "oidc_unavailable", "502",
        "the issuer of OpenID Connect does not answer as it should",
        "try again; the node's log says what it met";
    RestoreOffline = "restore_offline", "409",
        "a restore makes a new cluster",
        "use `waypost restore` where the new cluster begins";
    KeyConfigured = "key_configured", "409",
        "the key is in the configuration, so a backup can't have it",
        "make the backup without it";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Code;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_lower_case() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for text in texts {
            assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
        }
    }
}
