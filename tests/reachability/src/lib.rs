//! Reachability of pods under the NetworkPolicies that Portolan creates.
//!
//! The core says which policies a set of objects comes to; the policy simulator of cyclonus
//! (`go/main.go`), which is not ours and reads policies as Kubernetes documents them, says who reaches
//! whom under them. The tests hold the whole table against what should be: every pod, from every other
//! one and from outside, on every port.
