//! The configuration files of the parts, as text.

use crate::paths::{ClusterName, State};
use crate::plan::Plan;
use anyhow::{Context, Result};
use std::fs;

/// The domain that tests and demos use.
pub(crate) const DOMAIN: &str = "portolan.test";

/// Writes every configuration file.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(state: &State, plan: Plan, name: &ClusterName) -> Result<()> {
    let put = |file: &str, text: String| -> Result<()> {
        let path = state.at(file);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    put(
        "config/containerd.toml",
        containerd(state, on_overlay(state)),
    )?;
    put("config/cni/10-pods.conflist", pod_network(plan))?;
    put("config/kubelet.yaml", kubelet(state, plan, name))?;
    put(
        "config/resolv.conf",
        format!("nameserver {}\n", plan.node().0),
    )?;
    put("config/audit.yaml", AUDIT.to_owned())?;
    put("config/Corefile", corefile(state, plan))?;
    put("config/pebble.json", pebble(state))?;
    fs::create_dir_all(state.at("dns/zones"))?;
    Ok(())
}

/// Overlay file systems cannot lie on one another: containerd copies then.
fn on_overlay(state: &State) -> bool {
    let mut stat = std::process::Command::new("stat");
    stat.args(["-f", "-c", "%T"]).arg(state.dir());
    crate::program::output(&mut stat).is_ok_and(|kind| kind.trim() == "overlayfs")
}

fn containerd(state: &State, overlay: bool) -> String {
    let snapshotter = if overlay { "native" } else { "overlayfs" };
    let cni = state.text("config/cni");
    // Without CAP_SYS_RESOURCE, runc cannot lower an OOM score and dies with "can't get final child's PID".
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "/var/lib/containerd/opt"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "{snapshotter}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "portolan.test/pause:dev"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{cni}"
"#
    )
}

/// Pods hang on the node by a wire each (`ptp`), as in kind: everything is routed, so no bridge filter is needed.
fn pod_network(plan: Plan) -> String {
    let [v4, v6] = plan.node_pods();
    format!(
        r#"{{"cniVersion":"1.0.0","name":"pods","plugins":[
{{"type":"ptp","ipMasq":false,"mtu":1500,"ipam":{{"type":"host-local","dataDir":"/run/cni-addresses",
"routes":[{{"dst":"0.0.0.0/0"}},{{"dst":"::/0"}}],"ranges":[[{{"subnet":"{v4}"}}],[{{"subnet":"{v6}"}}]]}}}},
{{"type":"portmap","capabilities":{{"portMappings":true}}}}]}}
"#
    )
}

fn kubelet(state: &State, plan: Plan, name: &ClusterName) -> String {
    let ca = state.text("pki/ca.crt");
    let resolv = state.text("config/resolv.conf");
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [{dns}]
resolvConf: {resolv}
volumePluginDir: /var/lib/kubelet/volume-plugins
authentication: {{anonymous: {{enabled: false}}, x509: {{clientCAFile: {ca}}}, webhook: {{enabled: true}}}}
authorization: {{mode: Webhook}}
evictionHard: {{nodefs.available: '1%', imagefs.available: '1%', nodefs.inodesFree: '1%'}}
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
maxPods: 200
registryPullQPS: 0
",
        cgroup = name.cgroup(),
        dns = plan.dns_service().0,
    )
}

/// Everything at level Metadata, once per request, Secrets too: a test reads from it who listed what.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// ACME on port 14000. The validity is that of Let's Encrypt's profiles: 90 days, and 160 hours (`shortlived`).
fn pebble(state: &State) -> String {
    serde_json::json!({"pebble": {
        "listenAddress": "[::]:14000", "managementListenAddress": "[::]:15000",
        "certificate": state.text("pki/pebble.crt"), "privateKey": state.text("pki/pebble.key"),
        "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
        "keyAlgorithm": "ecdsa", "retryAfter": {"authz": 1, "order": 1},
        "profiles": {
            "default": {"description": "90 days", "validityPeriod": 90 * 24 * 3600},
            "shortlived": {"description": "160 hours", "validityPeriod": 160 * 3600},
        },
    }})
    .to_string()
}

/// The cluster's own names, the zones for tests (a file `db.ZONE` below `dns/zones` is served within a second),
/// and a clear no for everything else.
fn corefile(state: &State, plan: Plan) -> String {
    let (v4, v6) = plan.node();
    let kubeconfig = state.text("pki/coredns.conf");
    let zones = state.text("dns/zones");
    format!(
        "cluster.local in-addr.arpa ip6.arpa {{
  bind {v4} {v6}
  errors
  health 127.0.0.1:8081
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig} testbed
    pods insecure
  }}
}}
test example {{
  bind {v4} {v6}
  errors
  auto {{
    directory {zones} db\\.(.*) {{1}}
    reload 1s
  }}
}}
. {{
  bind {v4} {v6}
  errors
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_network_is_valid_json_with_both_families() {
        let text = pod_network(Plan::new(2).unwrap());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ranges = &value["plugins"][0]["ipam"]["ranges"];
        assert_eq!(ranges[0][0]["subnet"], "10.202.0.0/24");
        assert_eq!(ranges[1][0]["subnet"], "fd00:2:1::/64");
    }
}
