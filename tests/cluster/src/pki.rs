//! Keys and certificates of one cluster, made by the `openssl` program: its own CA, one client certificate per
//! part, the API server's certificate, the key of service account tokens, and the CA of the ClusterIssuer.

use crate::paths::State;
use crate::plan::Plan;
use crate::program;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// The users of the cluster: file name, and the subject that Kubernetes reads as groups (O) and user (CN).
fn users(node: &str) -> Vec<(&'static str, String)> {
    vec![
        ("admin", "/O=system:masters/CN=admin".to_owned()),
        (
            "kube-controller-manager",
            "/CN=system:kube-controller-manager".to_owned(),
        ),
        ("kube-scheduler", "/CN=system:kube-scheduler".to_owned()),
        ("kubelet", format!("/O=system:nodes/CN=system:node:{node}")),
        ("kube-proxy", "/CN=system:kube-proxy".to_owned()),
        ("coredns", "/CN=testbed:coredns".to_owned()),
        // cert-manager and the load balancer are not what is tested: they may do everything, under their own names.
        (
            "cert-manager",
            "/O=system:masters/CN=testbed:cert-manager".to_owned(),
        ),
        (
            "load-balancer",
            "/O=system:masters/CN=testbed:load-balancer".to_owned(),
        ),
    ]
}

/// Makes everything below `pki/`, a kubeconfig per user, and the files for people.
///
/// # Errors
/// When openssl fails or a file cannot be written.
pub(crate) fn create(state: &State, plan: Plan, node: &str) -> Result<()> {
    let dir = state.at("pki");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
    authority(state, "ca", "/CN=portolan-testbed")?;
    authority(state, "test-ca", "/O=Portolan/CN=portolan-test-ca")?;
    fs::copy(state.at("pki/test-ca.crt"), state.test_ca())?;
    openssl(
        state,
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            "sa.key",
        ],
    )?;
    openssl(
        state,
        &["pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub"],
    )?;

    let (v4, v6) = plan.node();
    let names = format!(
        "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{v4},IP:{v6},IP:{}",
        plan.kubernetes_service()
    );
    certificate(
        state,
        "kube-apiserver",
        "/CN=kube-apiserver",
        &format!("{names}\nextendedKeyUsage=serverAuth\n"),
    )?;
    certificate(
        state,
        "pebble",
        "/CN=pebble",
        &format!("subjectAltName=IP:127.0.0.1,IP:{v4},IP:{v6}\nextendedKeyUsage=serverAuth\n"),
    )?;
    for (name, subject) in users(node) {
        certificate(state, name, &subject, "extendedKeyUsage=clientAuth\n")?;
        kubeconfig(state, plan, name)?;
    }
    fs::copy(state.at("pki/admin.conf"), state.kubeconfig())?;
    Ok(())
}

fn authority(state: &State, name: &str, subject: &str) -> Result<()> {
    let (key, crt) = (format!("{name}.key"), format!("{name}.crt"));
    let usage = [
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ];
    let mut arguments = vec![
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "365",
    ];
    arguments.extend(["-subj", subject, "-keyout", &key, "-out", &crt]);
    arguments.extend(usage);
    openssl(state, &arguments)
}

fn certificate(state: &State, name: &str, subject: &str, extensions: &str) -> Result<()> {
    let file = |ending: &str| format!("{name}.{ending}");
    fs::write(state.at("pki").join(file("ext")), extensions)?;
    let (key, csr, crt, ext) = (file("key"), file("csr"), file("crt"), file("ext"));
    let request = [
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        subject,
        "-keyout",
        &key,
        "-out",
        &csr,
    ];
    openssl(state, &request)?;
    let sign = [
        "x509", "-req", "-in", &csr, "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365", "-out",
        &crt, "-extfile", &ext,
    ];
    openssl(state, &sign)
}

fn openssl(state: &State, arguments: &[&str]) -> Result<()> {
    program::output(
        Command::new("openssl")
            .args(arguments)
            .current_dir(state.at("pki")),
    )
    .map(|_| ())
}

fn kubeconfig(state: &State, plan: Plan, name: &str) -> Result<()> {
    let embed = |file: &str| -> Result<String> {
        let path = state.at("pki").join(file);
        Ok(STANDARD.encode(fs::read(&path).with_context(|| format!("read {}", path.display()))?))
    };
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
         clusters:\n- name: testbed\n  cluster:\n    server: https://{}:6443\n    certificate-authority-data: {}\n\
         users:\n- name: {name}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n\
         contexts:\n- name: testbed\n  context: {{cluster: testbed, user: {name}}}\n",
        plan.node().0,
        embed("ca.crt")?,
        embed(&format!("{name}.crt"))?,
        embed(&format!("{name}.key"))?,
    );
    let file = state.at("pki").join(format!("{name}.conf"));
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(fs::set_permissions(
        &file,
        fs::Permissions::from_mode(0o600),
    )?)
}

/// A file of the `pki` folder in base64, for a Secret.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn base64_of(state: &State, file: &str) -> Result<String> {
    Ok(STANDARD
        .encode(fs::read(state.at("pki").join(file)).with_context(|| format!("read {file}"))?))
}
