//! `testbed`: a real Kubernetes with a real cert-manager on one machine, for tests and demos.
//!
//! Reading order: [`plan`] (addresses), [`node`] (namespaces), [`parts`] (what runs), [`up`], [`down`].
//! [`modules`] and [`gobuild`] make the programs, [`oci`] the images, [`lb`] gives out load-balancer addresses.

mod cgroup;
mod cli;
mod config;
mod down;
mod environment;
mod failure;
mod gobuild;
mod index;
mod lb;
mod logs;
mod modules;
mod node;
mod objects;
mod oci;
mod parts;
mod paths;
mod pki;
mod plan;
mod process;
mod program;
mod progress;
mod root;
mod selftest;
mod setup;
mod status;
mod up;
mod wait;

fn main() -> std::process::ExitCode {
    cli::main()
}
