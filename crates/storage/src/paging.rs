//! Lists: what narrows one, the order it comes in, and which part of it is asked for. The same for all lists; what is
//! listed is not known here.

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
