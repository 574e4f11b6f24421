//! Checks of the pages of this repository, in `tests/docs/`: links and anchors, YAML against the API types, shell
//! syntax, and the paths of pages that code names. Blocks that need a program or a cluster run elsewhere:
//! `portolan/tests` checks examples and flags, `tests/e2e` runs the examples on the cluster.
