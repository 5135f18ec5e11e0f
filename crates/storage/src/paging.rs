//! Paging of lists: their conditions, their order and the requested part. The same for all lists; it doesn't know what
//! they contain.

mod asked;
mod conditions;
mod cursor;
mod total;
mod window;

pub use asked::Asked;
pub use conditions::{Conditions, DateTimeRange};
pub use cursor::{Cursor, Order};
pub use total::{COUNT_LIMIT, CountPrecision, Total, counting};
pub use window::{Page, Range, Window};
