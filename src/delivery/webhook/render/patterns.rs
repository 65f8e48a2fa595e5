//! What chats are told of the types of events that are known: one [`Pattern`] a type.
//!
//! Only words and paths: [`super::card`] reads the payload.

use super::card::UNKNOWN;

const GREEN: u32 = 0x00ff00;
const RED: u32 = 0xff0000;
const BLUE: u32 = 0x0099ff;
const ORANGE: u32 = 0xff9900;
pub(super) const GREY: u32 = 0x95a5a6;

/// What is said about a known type.
pub(super) struct Pattern {
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) colour: u32,
    /// `{a|b}` is the member at the path `a`, else the one at `b`.
    pub(super) text: &'static str,
    pub(super) fields: &'static [Field],
    /// A link's beginning, and the path of the number that ends it.
    pub(super) url: Option<(&'static str, &'static str)>,
}

/// A field of a pattern.
pub(super) struct Field {
    pub(super) label: &'static str,
    /// Paths, the first one that is there wins.
    pub(super) paths: &'static str,
    /// Said where none is; without it the field is left out.
    pub(super) default: Option<&'static str>,
    /// The value is an amount of ISK.
    pub(super) isk: bool,
}

const fn field(label: &'static str, paths: &'static str) -> Field {
    Field { label, paths, default: None, isk: false }
}

const fn field_or(label: &'static str, paths: &'static str, default: &'static str) -> Field {
    Field { label, paths, default: Some(default), isk: false }
}

const SYSTEM: &[Field] =
    &[field_or("System ID", "solar_system_id|id", UNKNOWN), field("Name", "temporary_name|custom_name")];
const LINK: &[Field] = &[
    field_or("Type", "type", UNKNOWN),
    field_or("Mass Status", "mass_status", "Fresh"),
    field("Time Status", "time_status"),
    field("Ship Size", "ship_size_type"),
];
const SIGNATURE: &[Field] = &[
    field("Name", "name"),
    field("Group", "group"),
    field("Kind", "kind|type"),
    field("Leads to", "linked_system_name|linked_system_id"),
];
const CHARACTER: &[Field] = &[
    field("Corporation", "corporation_name|corporation_ticker|corporation"),
    field("Alliance", "alliance_name|alliance_ticker|alliance"),
    field("Ship", "ship_name|ship_type_name|ship"),
    field("System", "solar_system_name|system_name|solar_system_id"),
    field("Online", "online"),
];
const MEMBER: &[Field] =
    &[field("Role", "role"), field("Kind", "member_type|type"), field("Access List", "acl_name|acl_id")];
const RALLY: &[Field] = &[field("Called by", "character_name|character"), field("Message", "message")];

/// The types of Wanderer's contract, and the game picker's. The first three say what Wanderer's own example of a transformer says.
pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        kind: "add_system",
        title: "New System Added",
        colour: GREEN,
        text: "System **{name|solar_system_name}** has been added to the map",
        fields: &[
            field_or("System ID", "solar_system_id", UNKNOWN),
            field_or("Type", "type", UNKNOWN),
            field("Class", "class"),
        ],
        url: None,
    },
    Pattern {
        kind: "map_kill",
        title: "Kill Detected",
        colour: RED,
        text: "{victim.ship} destroyed in {system_name}",
        fields: &[
            field_or("Victim", "victim.name", UNKNOWN),
            field_or("Ship", "victim.ship", UNKNOWN),
            Field { label: "Value", paths: "value", default: Some(UNKNOWN), isk: true },
        ],
        url: Some(("https://zkillboard.com/kill/", "killmail_id")),
    },
    Pattern {
        kind: "connection_added",
        title: "New Connection",
        colour: BLUE,
        text: "Connection established: **{from_name}** → **{to_name}**",
        fields: LINK,
        url: None,
    },
    Pattern {
        kind: "deleted_system",
        title: "System Removed",
        colour: ORANGE,
        text: "System **{name|solar_system_name}** has been removed from the map",
        fields: SYSTEM,
        url: None,
    },
    Pattern {
        kind: "system_metadata_changed",
        title: "System Updated",
        colour: BLUE,
        text: "System **{name|solar_system_name}** has been updated",
        fields: &[
            field_or("System ID", "solar_system_id|id", UNKNOWN),
            field("Status", "status"),
            field("Tag", "tag"),
            field("Locked", "locked"),
            field("Labels", "labels"),
            field("Description", "description"),
        ],
        url: None,
    },
    Pattern {
        kind: "system_renamed",
        title: "System Renamed",
        colour: BLUE,
        text: "System **{old_name|solar_system_name|solar_system_id}** is now **{new_name|name}**",
        fields: &[field_or("System ID", "solar_system_id|id", UNKNOWN)],
        url: None,
    },
    Pattern {
        kind: "connection_removed",
        title: "Connection Removed",
        colour: ORANGE,
        text: "Connection gone: **{from_name|solar_system_source_id}** → **{to_name|solar_system_target_id}**",
        fields: &[field("Type", "type")],
        url: None,
    },
    Pattern {
        kind: "connection_updated",
        title: "Connection Updated",
        colour: BLUE,
        text: "Connection changed: **{from_name|solar_system_source_id}** → **{to_name|solar_system_target_id}**",
        fields: LINK,
        url: None,
    },
    Pattern {
        kind: "signature_added",
        title: "Signature Added",
        colour: GREEN,
        text: "Signature **{eve_id|signature_id|id}** has appeared in {solar_system_name|system_name|solar_system_id}",
        fields: SIGNATURE,
        url: None,
    },
    Pattern {
        kind: "signature_removed",
        title: "Signature Removed",
        colour: ORANGE,
        text: "Signature **{eve_id|signature_id|id}** is gone from {solar_system_name|system_name|solar_system_id}",
        fields: SIGNATURE,
        url: None,
    },
    Pattern {
        kind: "signatures_updated",
        title: "Signatures Updated",
        colour: BLUE,
        text: "Signatures have changed in **{solar_system_name|system_name|solar_system_id}**",
        fields: &[
            field("Added", "added_count|added"),
            field("Updated", "updated_count|updated"),
            field("Removed", "removed_count|removed"),
        ],
        url: None,
    },
    Pattern {
        kind: "character_added",
        title: "Character Added",
        colour: GREEN,
        text: "**{name|character_name|character.name}** is now tracked on the map",
        fields: CHARACTER,
        url: None,
    },
    Pattern {
        kind: "character_removed",
        title: "Character Removed",
        colour: ORANGE,
        text: "**{name|character_name|character.name}** is no longer tracked on the map",
        fields: CHARACTER,
        url: None,
    },
    Pattern {
        kind: "character_updated",
        title: "Character Updated",
        colour: BLUE,
        text: "**{name|character_name|character.name}** has changed",
        fields: CHARACTER,
        url: None,
    },
    Pattern {
        kind: "acl_member_added",
        title: "Access Granted",
        colour: GREEN,
        text: "**{member_name|name|member_id}** has been added to an access list",
        fields: MEMBER,
        url: None,
    },
    Pattern {
        kind: "acl_member_removed",
        title: "Access Removed",
        colour: ORANGE,
        text: "**{member_name|name|member_id}** has been removed from an access list",
        fields: MEMBER,
        url: None,
    },
    Pattern {
        kind: "acl_member_updated",
        title: "Access Changed",
        colour: BLUE,
        text: "**{member_name|name|member_id}** has changed on an access list",
        fields: MEMBER,
        url: None,
    },
    Pattern {
        kind: "rally_point_added",
        title: "Rally Point",
        colour: GREEN,
        text: "Rally in **{system_name|solar_system_name|name|solar_system_id}**",
        fields: RALLY,
        url: None,
    },
    Pattern {
        kind: "rally_point_removed",
        title: "Rally Point Removed",
        colour: ORANGE,
        text: "No more rally in **{system_name|solar_system_name|name|solar_system_id}**",
        fields: RALLY,
        url: None,
    },
    Pattern {
        kind: "game.added",
        title: "Game Added",
        colour: GREEN,
        text: "🎮 **{game.title}** added to session #{session.id} ({game.min_players}-{game.max_players} players)",
        fields: &[field("Pack", "game.pack_name"), field("Games Played", "session.games_played")],
        url: None,
    },
];

#[cfg(test)]
mod tests {
    use super::super::card::MAX_FIELDS;
    use super::*;

    #[test]
    fn patterns_are_sound() {
        for pattern in PATTERNS {
            assert!(crate::core::event::is_kind(pattern.kind));
            assert_eq!(pattern.text.matches('{').count(), pattern.text.matches('}').count(), "{}", pattern.kind);
            assert!(pattern.fields.len() <= MAX_FIELDS);
        }
    }
}
