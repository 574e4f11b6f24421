//! What follows from the index, as plain values: nothing can fail here, because everything that
//! could was settled before.

mod class_children;
mod metadata;
mod object_children;
mod quantity;
mod table;
