//! The folder: what stands in its files, and what is in force of it.
//!
//! ```text
//! walk: files as bytes ──► yaml: documents ──► object: objects and faults ──► folder: what is in force
//! ```
//! Only `walk` and `watch` touch the disk. What cannot be read keeps the last good state of exactly the
//! objects that it may have changed; everything else goes on.

mod folder;
mod object;
mod walk;
pub(crate) mod watch;
mod yaml;

pub(crate) use folder::{Folder, Trouble, Update};
pub(crate) use object::{Key, Kind, Object};
pub(crate) use walk::walk;
