//! The node's own namespaces: network, mounts, host name. They are pinned as files in the cluster's state
//! folder, so they outlive any process and end with three unmounts.
//!
//! Inside, `/run`, `/var/lib` and `/var/log` are the node's own; a wire leads to the host, and the host has
//! routes for pods, Services and load balancers. Nothing else is routed: the node reaches no other network.

use crate::paths::{ClusterName, State};
use crate::plan::Plan;
use crate::program;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The namespaces, in the order in which they are unmounted.
const PINS: [&str; 3] = ["mnt", "uts", "net"];

/// Kernel settings that the kubelet would otherwise write for the whole machine: it finds its values here, in
/// files that cover the real ones inside the node.
const COVERED: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Makes the namespaces, the mounts inside, and the network.
///
/// # Errors
/// When a step fails; what was made so far is for [`remove`] to clear.
pub(crate) fn create(state: &State, plan: Plan, name: &ClusterName) -> Result<()> {
    for hidden in ["/run", "/var/lib", "/var/log"] {
        if state.dir().starts_with(hidden) {
            bail!(
                "{}: the node covers {hidden} with its own; set XDG_STATE_HOME to a folder elsewhere",
                state.dir().display()
            );
        }
    }
    let ns = state.at("ns");
    fs::create_dir_all(&ns).with_context(|| format!("create {}", ns.display()))?;
    for pin in PINS {
        fs::write(ns.join(pin), "")
            .with_context(|| format!("create {}", ns.join(pin).display()))?;
    }
    // A mount namespace can only be pinned on a mount that is private.
    program::output(Command::new("mount").arg("--bind").args([&ns, &ns]))?;
    program::output(Command::new("mount").arg("--make-private").arg(&ns))?;

    for dir in [
        "kubelet",
        "cni",
        "containerd",
        "pods",
        "containers",
        "sysctl",
    ] {
        fs::create_dir_all(state.at("node").join(dir))?;
    }
    for (setting, value) in COVERED {
        fs::write(
            state.at("node/sysctl").join(setting.replace('/', ".")),
            format!("{value}\n"),
        )?;
    }
    let mut unshare = Command::new("unshare");
    for (pin, kind) in [("net", "net"), ("mnt", "mount"), ("uts", "uts")] {
        unshare.arg(format!("--{kind}={}", ns.join(pin).display()));
    }
    unshare.args([
        "--propagation",
        "slave",
        "--",
        "/bin/sh",
        "-euc",
        &inside(state, name)?,
    ]);
    program::output(&mut unshare).context("make the node's namespaces")?;
    connect(state, plan)
}

/// The commands that furnish the mount namespace.
fn inside(state: &State, name: &ClusterName) -> Result<String> {
    let dir = state.at("node");
    let dir = dir
        .to_str()
        .context("the state folder's name is not UTF-8")?;
    if dir.contains(|c: char| c == '\'' || c.is_whitespace()) {
        bail!(
            "{dir}: a quote or a space in the folder's name; set XDG_STATE_HOME to a folder without"
        );
    }
    let mut script = String::from("mount --make-rshared /\n");
    // The pins of other clusters would live on in this namespace: let go of them.
    script.push_str("grep ' - nsfs ' /proc/self/mountinfo | cut -d' ' -f5 | while read -r pin; do umount -l \"$pin\" || true; done\n");
    for covered in ["/run", "/var/lib", "/var/log"] {
        script.push_str(&format!(
            "mount -t tmpfs -o mode=755,size=256m portolan {covered}\n"
        ));
    }
    script.push_str("mkdir -p /run/lock /run/netns\n");
    for (own, place) in [
        ("kubelet", "/var/lib/kubelet"),
        ("cni", "/var/lib/cni"),
        ("containerd", "/var/lib/containerd"),
        ("pods", "/var/log/pods"),
        ("containers", "/var/log/containers"),
    ] {
        script.push_str(&format!(
            "mkdir -p {place}\nmount --bind '{dir}/{own}' {place}\n"
        ));
    }
    for (setting, _) in COVERED {
        let file = setting.replace('/', ".");
        script.push_str(&format!("[ ! -e /proc/sys/{setting} ] || mount --bind '{dir}/sysctl/{file}' /proc/sys/{setting}\n"));
    }
    script.push_str(&format!("hostname {}\n", name.node()));
    Ok(script)
}

/// The wire between host and node, and the routes on both ends.
fn connect(state: &State, plan: Plan) -> Result<()> {
    let device = plan.device();
    let net = state.netns();
    let net = net
        .to_str()
        .context("the state folder's name is not UTF-8")?;
    let (host4, host6) = plan.host();
    let (node4, node6) = plan.node();
    ip(&format!(
        "link add {device} type veth peer name eth0 netns {net}"
    ))?;
    ip(&format!("address add {host4}/30 dev {device}"))?;
    ip(&format!("address add {host6}/126 dev {device} nodad"))?;
    ip(&format!("link set {device} up"))?;

    // Ranges that kube-proxy answers for need some route, or the node's own packets never reach its rules.
    let mut script = format!(
        "echo 1 > /proc/sys/net/ipv4/ip_forward\necho 1 > /proc/sys/net/ipv6/conf/all/forwarding\n\
         echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter\necho 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start\n\
         ip link set lo up\nip address add {node4}/30 dev eth0\nip address add {node6}/126 dev eth0 nodad\n\
         ip link set eth0 up\nip link add void0 type veth peer name void1\n\
         ip link set void0 up\nip link set void1 up\n"
    );
    for range in plan.services().into_iter().chain(plan.load_balancers()) {
        script.push_str(&format!("ip route add {range} dev void0\n"));
    }
    script.push_str(
        "ip route add unreachable default\nip -6 route add unreachable default metric 4096\n",
    );
    let mut inside = enter(state, &["net"]);
    inside.args(["/bin/sh", "-euc", &script]);
    program::output(&mut inside).context("connect the node")?;

    for (ranges, gateway) in plan.routed() {
        for range in ranges {
            ip(&format!("route replace {range} via {gateway} dev {device}"))?;
        }
    }
    Ok(())
}

/// Returns true if the host already has an address or route inside a plan's ranges that is not the plan's own device.
pub(crate) fn in_use(plan: Plan) -> bool {
    let own = format!("dev {}", plan.device());
    plan.routed()
        .into_iter()
        .flat_map(|(ranges, _)| ranges)
        .any(|range| {
            let family = if range.contains(':') { "-6" } else { "-4" };
            let routes =
                program::output(Command::new("ip").args([family, "route", "show", "root", &range]))
                    .unwrap_or_default();
            routes
                .lines()
                .any(|line| !line.trim().is_empty() && !line.contains(&own))
        })
}

/// Removes the wire, the routes with it, and the pins; the kernel clears the rest once no process is inside.
///
/// # Errors
/// When a pin cannot be unmounted.
pub(crate) fn remove(state: &State, plan: Option<Plan>) -> Result<()> {
    if let Some(plan) = plan {
        // The kernel removes the device with the namespace too, but later.
        let _ = ip(&format!("link delete {}", plan.device()));
    }
    let ns = state.at("ns");
    for target in PINS.iter().map(|pin| ns.join(pin)).chain([ns.clone()]) {
        // A half-failed start can leave a mount twice.
        while is_mount(&target) {
            program::output(Command::new("umount").arg("-l").arg(&target))?;
        }
    }
    Ok(())
}

/// Returns true if the three namespaces are pinned.
pub(crate) fn exists(state: &State) -> bool {
    PINS.iter().all(|pin| is_mount(&state.at("ns").join(pin)))
}

/// The mounts of this machine below a folder.
pub(crate) fn mounts_below(dir: &std::path::Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|t| PathBuf::from(t.replace("\\040", " ")));
    targets.filter(|target| target.starts_with(dir)).collect()
}

fn is_mount(target: &std::path::Path) -> bool {
    mounts_below(target).iter().any(|found| found == target)
}

/// A command that runs inside some of the node's namespaces ("net", "mnt", "uts"); its program and arguments
/// are yet to be added.
pub(crate) fn enter(state: &State, namespaces: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(enter_arguments(state, namespaces));
    command
}

/// The arguments for `nsenter` alone.
pub(crate) fn enter_arguments(state: &State, namespaces: &[&str]) -> Vec<String> {
    let flag = |pin: &str| {
        if pin == "mnt" {
            "mount".to_owned()
        } else {
            pin.to_owned()
        }
    };
    let mut all: Vec<String> = namespaces
        .iter()
        .map(|pin| format!("--{}={}", flag(pin), state.at("ns").join(pin).display()))
        .collect();
    all.push("--".to_owned());
    all
}

fn ip(arguments: &str) -> Result<()> {
    program::output(Command::new("ip").args(arguments.split(' '))).map(|_| ())
}
