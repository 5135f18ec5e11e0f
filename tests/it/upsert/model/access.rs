//! The rights of a random caller, and their effect in the model.

use clientele::caller::{Permission, Rights, Sets};
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;

use super::{
    definitions::{SETS, set_of},
    generate::Way,
};

const ALL_SETS: [bool; SETS.len()] = [true; SETS.len()];

/// A caller with view and edit rights for some sets, and with some of the permissions to write clients.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub create: bool,
    pub edit: bool,
    pub change_state: bool,
    /// To delete and to erase.
    pub remove: bool,
    sees: [bool; SETS.len()],
    edits: [bool; SETS.len()],
}

impl Access {
    pub const ALL: Self = Self {
        create: true,
        edit: true,
        change_state: true,
        remove: true,
        sees: ALL_SETS,
        edits: ALL_SETS,
    };

    pub fn any() -> impl Strategy<Value = Self> {
        // A caller lacks one or two sets, so that most of their values can be stored.
        let lacks = || any::<[u8; SETS.len()]>().prop_map(|draws| draws.map(|draw| draw % 5 > 0));
        let some_sets = (lacks(), lacks()).prop_map(|(sees, edits)| Self {
            sees,
            edits,
            ..Self::ALL
        });
        let permissions = any::<[bool; 4]>().prop_map(|[create, edit, change_state, remove]| Self {
            create,
            edit,
            change_state,
            remove,
            ..Self::ALL
        });
        prop_oneof![16 => Just(Self::ALL), 8 => some_sets, 3 => permissions]
    }

    pub fn rights(self) -> Rights {
        let sets = |which: [bool; SETS.len()]| {
            let named = SETS.iter().zip(which).filter(|(_, is)| *is);
            Sets::These(named.map(|(id, _)| (*id).to_owned()).collect())
        };
        let may = |permission: &Permission| match permission {
            Permission::CreateClient => self.create,
            Permission::EditClient => self.edit,
            Permission::ChangeState => self.change_state,
            Permission::DeleteClient | Permission::EraseClient => self.remove,
            _ => false,
        };
        let rights = Rights::of(Permission::ALL.into_iter().filter(may));
        match self.edits == ALL_SETS {
            true => rights,
            false => Rights {
                view_sets: sets(self.sees),
                edit_sets: sets(self.edits),
                ..rights
            },
        }
    }

    /// True if the caller has a permission that a request of this form can need.
    pub fn may_try(self, way: Way) -> bool {
        match way {
            Way::Post | Way::Upsert => self.create || self.edit,
            Way::Patch => self.edit || self.change_state,
            Way::State => self.change_state,
            Way::PatchValue | Way::PatchValues | Way::DeleteValue => self.edit,
        }
    }

    pub fn edits(self, field: &str) -> bool {
        self.edits[set_of(field)]
    }

    /// A caller who may edit a set may view it.
    pub fn sees(self, field: &str) -> bool {
        self.sees[set_of(field)] || self.edits(field)
    }
}
