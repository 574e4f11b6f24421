//! Environment to use a cluster from a shell or a test: `testbed env`, `run` and `load`.

use crate::parts::Cluster;
use crate::{lb, node, oci, program, up};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The variables, in the order in which they are printed. PATH is the folder to put first.
pub(crate) fn variables(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let show = |path: PathBuf| path.display().to_string();
    vec![
        ("PORTOLAN_TEST_NAME", cluster.name.to_string()),
        ("KUBECONFIG", show(cluster.state.kubeconfig())),
        ("PORTOLAN_TEST_DNS", cluster.plan.node().0.to_string()),
        (
            "PORTOLAN_TEST_ACME",
            format!("https://{}:14000/dir", cluster.plan.node().0),
        ),
        ("PORTOLAN_TEST_CA", show(cluster.state.test_ca())),
        (
            "PORTOLAN_TEST_LB",
            cluster.plan.load_balancer(lb::assign::PUBLIC).0.to_string(),
        ),
        (
            "PORTOLAN_TEST_LB6",
            cluster.plan.load_balancer(lb::assign::PUBLIC).1.to_string(),
        ),
        ("PORTOLAN_TEST_NODE", cluster.name.node()),
        ("PORTOLAN_TEST_NETNS", show(cluster.state.netns())),
        ("PORTOLAN_TEST_HOST", cluster.plan.host().0.to_string()),
        ("PORTOLAN_TEST_ZONES", cluster.state.text("dns/zones")),
        ("PORTOLAN_TEST_AUDIT", cluster.state.text("logs/audit.log")),
    ]
}

/// The same as lines for `eval`.
pub(crate) fn export_lines(cluster: &Cluster) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut lines: String = variables(cluster)
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", quote(value)))
        .collect();
    lines.push_str(&format!(
        "export PATH={}:\"$PATH\"\n",
        quote(&cluster.built.bin.display().to_string())
    ));
    lines
}

/// Becomes the given program, with the variables set; inside the node's network when asked.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(cluster: &Cluster, inside: bool, words: &[String]) -> Result<()> {
    let Some((first, rest)) = words.split_first() else {
        bail!("run: no command; give one after --")
    };
    let mut command = if inside {
        let mut enter = node::enter(&cluster.state, &["net"]);
        enter.arg(first);
        enter
    } else {
        Command::new(first)
    };
    command.args(rest).envs(variables(cluster));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", cluster.built.bin.display()));
    Err(command.exec()).with_context(|| format!("{first}: cannot be started"))
}

/// Makes an image of static binaries and gives it to the cluster.
///
/// # Errors
/// When a binary is not static, or containerd refuses the image.
pub(crate) fn load(cluster: &Cluster, image: &str, binaries: &[PathBuf]) -> Result<()> {
    let tar = cluster
        .state
        .at(&format!("load.{}.tar", std::process::id()));
    let result = oci::image_of(&tar, image, binaries).and_then(|()| up::import(cluster, &tar));
    let _ = fs::remove_file(&tar);
    result?;
    // The kubelet sees what the runtime's own list shows: an import is only done when the name is there.
    let names = program::output(cluster.ctr().args(["images", "list", "-q"]))?;
    anyhow::ensure!(
        names.lines().any(|name| name == image),
        "{image}: imported and not listed"
    );
    println!("{image}");
    Ok(())
}
