//! The rights of a random caller, and their effect in the model.

use clientele::caller::{Permission, Rights, Sets};
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;

/// The sets of the custom fields, and the fields of each.
pub const SETS: [(&str, [&str; 3]); 2] = [
    ("facts", ["text", "number", "flag"]),
    ("others", ["band", "day", "friend"]),
];

/// A caller with view and edit rights for some sets, and with any of the permissions to create and to change clients.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    create: bool,
    edit: bool,
    sees: [bool; 2],
    edits: [bool; 2],
}

impl Access {
    const ALL: Self = Self {
        create: true,
        edit: true,
        sees: [true; 2],
        edits: [true; 2],
    };

    pub fn any() -> impl Strategy<Value = Self> {
        let sets = (any::<[bool; 2]>(), any::<[bool; 2]>());
        let some_sets = sets.prop_map(|(sees, edits)| Self {
            sees,
            edits,
            ..Self::ALL
        });
        let permissions = any::<(bool, bool)>().prop_map(|(create, edit)| Self {
            create,
            edit,
            ..Self::ALL
        });
        prop_oneof![8 => Just(Self::ALL), 8 => some_sets, 1 => permissions]
    }

    pub fn rights(self) -> Rights {
        let sets = |which: [bool; 2]| {
            let named = SETS.iter().zip(which).filter(|(_, is)| *is);
            Sets::These(named.map(|((id, _), _)| (*id).to_owned()).collect())
        };
        let may = |permission: &Permission| match permission {
            Permission::CreateClient => self.create,
            Permission::EditClient => self.edit,
            _ => false,
        };
        if self.sees == [true; 2] && self.edits == [true; 2] {
            return Rights::of(Permission::ALL.into_iter().filter(may));
        }
        Rights {
            view_sets: sets(self.sees),
            edit_sets: sets(self.edits),
            ..Rights::of(Permission::ALL.into_iter().filter(may))
        }
    }

    pub fn may_nothing(self) -> bool {
        !self.create && !self.edit
    }

    pub fn may_write(self, present: bool) -> bool {
        if present { self.edit } else { self.create }
    }

    pub fn edits(self, field: &str) -> bool {
        self.edits[set_of(field)]
    }

    /// A caller who may edit a set may view it.
    pub fn sees(self, field: &str) -> bool {
        self.sees[set_of(field)] || self.edits(field)
    }
}

fn set_of(field: &str) -> usize {
    SETS.iter()
        .position(|(_, fields)| fields.contains(&field))
        .expect("a field of a set")
}
