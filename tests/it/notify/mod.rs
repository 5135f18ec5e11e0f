//! Notifications: over the channels and to their far ends.

mod channels;
