//! The permissions that a caller can have.

use std::fmt;

use clientele_core::text_enum;

text_enum! {
    /// A permission of a caller.
    Permission {
        /// See clients and what belongs to them.
        ViewClient = "VIEW_CLIENT",
        /// Create clients.
        CreateClient = "CREATE_CLIENT",
        /// Change clients.
        EditClient = "EDIT_CLIENT",
        /// Delete clients.
        DeleteClient = "DELETE_CLIENT",
        /// Define custom fields and client roles.
        ManageCustomFields = "MANAGE_CUSTOM_FIELDS",
        /// Write and delete message templates.
        ManageTemplates = "MANAGE_TEMPLATES",
        /// See the messages to clients.
        ViewMessages = "VIEW_MESSAGES",
        /// Resend failed messages.
        ResendMessages = "RESEND_MESSAGES",
        /// Manage users and API tokens.
        ManageUsers = "MANAGE_USERS",
        /// Read the audit log. For clients it shows only that they were changed, and which members: the values need
        /// VIEW_CLIENT.
        Audit = "AUDIT",
        /// Read `/metrics`.
        ViewMetrics = "VIEW_METRICS",
    }
}

impl Permission {
    pub const ALL: [Self; 11] = [
        Self::ViewClient,
        Self::CreateClient,
        Self::EditClient,
        Self::DeleteClient,
        Self::ManageCustomFields,
        Self::ManageTemplates,
        Self::ViewMessages,
        Self::ResendMessages,
        Self::ManageUsers,
        Self::Audit,
        Self::ViewMetrics,
    ];

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

impl Permissions {
    pub const fn all() -> Self {
        Self((1 << Permission::ALL.len()) - 1)
    }

    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// In the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .into_iter()
            .filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | permission.bit()),
        )
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Permissions};

    #[test]
    fn a_set_has_what_was_put_in_and_no_more() {
        for permission in Permission::ALL {
            let one = Permissions::from_iter([permission]);
            assert_eq!(one.iter().collect::<Vec<_>>(), [permission]);
            assert!(Permissions::all().contains(permission));
            assert!(!Permissions::default().contains(permission));
        }
    }
}
