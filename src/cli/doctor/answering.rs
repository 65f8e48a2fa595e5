//! The nodes that answer: of the others nothing is known, so nothing good is said of them.

use serde_json::Value;

/// The members of a status of which there is a report.
pub(super) struct Answering<'v> {
    pub(super) members: Vec<&'v Value>,
    /// How many members there are.
    all: usize,
}

impl<'v> Answering<'v> {
    /// Those of the status that a node gave.
    pub(super) fn of(status: &'v Value) -> Self {
        let all = || status["members"].as_array().into_iter().flatten();
        let members = all().filter(|member| !member["reported_by"].is_null()).collect();
        Self { members, all: all().count() }
    }

    /// Whether no member is silent.
    pub(super) fn are_all(&self) -> bool {
        self.members.len() == self.all
    }

    /// So many of those that answer, for people.
    pub(super) fn called(&self, count: usize) -> String {
        match (count, self.are_all()) {
            (1, true) => "the node".to_owned(),
            (1, false) => "the one node that answers".to_owned(),
            (count, true) => format!("{count} nodes"),
            (count, false) => format!("the {count} nodes that answer"),
        }
    }

    /// That they reach each other. `None` if only one of several answers, which shows nothing.
    pub(super) fn reach_each_other(&self) -> Option<String> {
        match (self.members.len(), self.are_all()) {
            (1, true) => Some("the cluster has one node, and so none that it must reach".to_owned()),
            (0 | 1, _) => None,
            (count, true) => Some(format!("all {count} nodes reach each other")),
            (count, false) => Some(format!("{} reach each other", self.called(count))),
        }
    }

    /// What holds for them, by area, if nothing is wrong. Names are those of all members: the cluster keeps them.
    pub(super) fn are_fine(&self) -> Vec<(&'static str, String)> {
        if self.all == 1 && self.are_all() {
            return vec![
                ("settings", "the cluster has one node, and so no settings that differ".to_owned()),
                ("clock", "the cluster has one node, and so no clocks that differ".to_owned()),
                ("names", "the cluster has one node, and so no name that two have".to_owned()),
                ("disk", "the disk of the node has room".to_owned()),
            ];
        }
        let names = ("names", format!("each of {} nodes has a name of its own", self.all));
        let nodes = self.called(self.members.len());
        match self.members.len() {
            0 => Vec::new(),
            1 => vec![
                ("settings", "only one node answers, and so no settings could be compared".to_owned()),
                ("clock", "only one node answers, and so no clocks could be compared".to_owned()),
                names,
                ("disk", format!("the disk of {nodes} has room")),
            ],
            _ => vec![
                ("settings", format!("no setting that {nodes} share differs among them")),
                ("clock", format!("the clocks of {nodes} agree")),
                names,
                ("disk", format!("the disks of {nodes} have room")),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A status with so many members, of which so many answer.
    fn status(answering: u64, all: u64) -> Value {
        let member = |id: u64| json!({"id": id, "reported_by": (id <= answering).then_some(id)});
        json!({"members": (1..=all).map(member).collect::<Vec<_>>()})
    }

    #[test]
    fn silent_nodes_are_not_counted() {
        let told = |answering, all| {
            let status = status(answering, all);
            let answering = Answering::of(&status);
            let fine: Vec<String> = answering.are_fine().into_iter().map(|(_, what)| what).collect();
            (answering.reach_each_other(), fine.join("\n"))
        };
        let (reach, fine) = told(3, 3);
        assert_eq!(reach.as_deref(), Some("all 3 nodes reach each other"));
        assert!(fine.contains("the clocks of 3 nodes agree") && !fine.contains("answer"), "{fine}");
        let (reach, fine) = told(2, 3);
        assert_eq!(reach.as_deref(), Some("the 2 nodes that answer reach each other"));
        assert!(fine.contains("the clocks of the 2 nodes that answer agree"), "{fine}");
        assert!(fine.contains("each of 3 nodes has a name of its own"), "{fine}");
        let (reach, fine) = told(1, 3);
        assert_eq!(reach, None, "one node alone shows nothing");
        assert!(fine.contains("only one node answers, and so no clocks could be compared"), "{fine}");
        assert!(fine.contains("the disk of the one node that answers has room"), "{fine}");
        let (reach, fine) = told(0, 3);
        assert!(reach.is_none() && fine.is_empty(), "{fine}");
        let (reach, fine) = told(1, 1);
        assert!(
            reach.is_some_and(|told| told.contains("has one node")) && !fine.contains("answers"),
            "{fine}"
        );
    }
}
