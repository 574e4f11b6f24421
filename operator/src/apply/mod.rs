//! Makes children what they should be: by server-side apply under one field manager, never adopting,
//! and without writing what is already so.
//!
//! ```text
//! look (store, else the API server) ──► decide (pure) ──► create | update | leave | wait ──► store
//! ```
//! [`ownership`] judges whose an object is, [`difference`] whether it is as it should be, [`store`]
//! remembers what was seen. `docs/internals/decisions/0003` says why children are compared before they are written.

mod addresses;
mod decide;
mod desired;
mod difference;
mod kind;
mod ownership;
mod store;
mod write;

pub use addresses::Shown;
pub use desired::Desired;
pub use difference::difference;
pub use kind::{ChildId, ChildKind};
pub use ownership::{Owner, Standing, standing};
pub use store::{Children, Seen};
pub use write::{Applied, Applier};
