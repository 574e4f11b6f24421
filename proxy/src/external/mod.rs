//! Endpoints that are named, not listed (Services of type ExternalName): looked up in DNS, off the path
//! of requests, for as long as an endpoint set names them.
//!
//! ```text
//! table ──► names ──due──► lookup (A and AAAA) ──► known ──► order ──► endpoint set
//!             ▲                                      │
//!             └────────── when to look again ────────┘
//! ```
//! `known` decides by what DNS says how long it is good for, without I/O; `order` puts the addresses
//! into the order in which they are tried. Whether an address may be contacted at all is judged when a
//! connection is opened (`upstream::denied`), for every endpoint alike.

mod known;
mod lookup;
mod names;
mod order;

pub(crate) use lookup::Dns;
pub(crate) use names::{Names, run};
