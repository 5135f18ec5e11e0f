//! Properties of reports that hold for any input. The fuzz target calls these.

use clientele_domain::enums::ReceiptStatus;

use super::{MOST_RECIPIENTS, receipts};

/// Checks that any text is a report or none, with limits, and the same twice.
///
/// # Panics
/// When the property doesn't hold.
pub fn report(mail: &[u8]) {
    let found = receipts(mail);
    assert_eq!(found, receipts(mail));
    let Ok(found) = found else { return };
    assert!(found.len() <= MOST_RECIPIENTS + 1);
    for receipt in found {
        assert!(!receipt.permanent || receipt.status == ReceiptStatus::Bounced);
        assert!(receipt.status != ReceiptStatus::Failed);
    }
}
