//! Sets of few things that have names, kept as the bits of one number.

/// Gives a set its names: `from_names`, `names` and `contains`.
///
/// The set is a tuple struct of one number, with a bit for each thing. It lists its things in `Self::NAMES`,
/// in the order in which they are shown.
macro_rules! named_set {
    ($set:ident) => {
        impl $set {
            /// The set with these names; `None` for an unknown name or an empty list.
            pub fn from_names<S: AsRef<str>>(names: &[S]) -> Option<Self> {
                let mut set = 0;
                for name in names {
                    set |= Self::NAMES.iter().find(|(known, _)| *known == name.as_ref())?.1.0;
                }
                (set != 0).then_some(Self(set))
            }

            /// The names, in a fixed order.
            pub fn names(self) -> Vec<&'static str> {
                Self::NAMES.iter().filter(|(_, one)| self.contains(*one)).map(|(name, _)| *name).collect()
            }

            /// Whether this set includes all of `wanted`.
            pub fn contains(self, wanted: Self) -> bool {
                self.0 & wanted.0 == wanted.0
            }
        }
    };
}

pub(crate) use named_set;
