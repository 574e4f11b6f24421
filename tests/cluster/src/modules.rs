//! Programs that are built, and their Go modules. The versions are those of the committed `go.mod` files.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder below `modules/` with its own `go.mod` and `go.sum`.
#[derive(Debug)]
pub(crate) struct Module {
    /// The folder's name.
    pub(crate) folder: &'static str,
    /// What is built from it, in order.
    pub(crate) programs: &'static [Program],
    /// Module path whose version goes into the programs, and the variables that take it.
    stamp: Option<(&'static str, &'static [&'static str])>,
}

/// One program.
#[derive(Debug)]
pub(crate) struct Program {
    /// The file's name.
    pub(crate) name: &'static str,
    /// The Go package.
    pub(crate) package: &'static str,
    /// The image that holds it alone, if any.
    pub(crate) image: Option<&'static str>,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program {
        name,
        package,
        image: None,
    }
}

const fn pod(name: &'static str, package: &'static str, image: &'static str) -> Program {
    Program {
        name,
        package,
        image: Some(image),
    }
}

/// Every module with programs. The largest comes first: the rest then finds a warm build cache.
pub(crate) const ALL: &[Module] = &[
    Module {
        folder: "kubernetes",
        programs: &[
            program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            program(
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            program("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
            program("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            program("etcd", "go.etcd.io/etcd/server/v3"),
            program("cert-manager", "./cert-manager"),
            pod("acmesolver", "./acmesolver", "portolan.test/acmesolver:dev"),
        ],
        stamp: Some((
            "k8s.io/kubernetes",
            &[
                "k8s.io/component-base/version.gitVersion",
                "k8s.io/client-go/pkg/version.gitVersion",
            ],
        )),
    },
    Module {
        folder: "containerd",
        programs: &[
            program(
                "containerd",
                "github.com/containerd/containerd/v2/cmd/containerd",
            ),
            program(
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            ),
            program("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
        ],
        stamp: Some((
            "github.com/containerd/containerd/v2",
            &["github.com/containerd/containerd/v2/version.Version"],
        )),
    },
    Module {
        folder: "images",
        programs: &[
            pod("pause", "./pause", "portolan.test/pause:dev"),
            pod("echo", "./echo", "portolan.test/echo:dev"),
        ],
        stamp: None,
    },
    Module {
        folder: "grpc",
        programs: &[pod("grpc", ".", "portolan.test/grpc:dev")],
        stamp: None,
    },
    Module {
        folder: "coredns",
        programs: &[program("coredns", "github.com/coredns/coredns")],
        stamp: None,
    },
    Module {
        folder: "pebble",
        programs: &[program(
            "pebble",
            "github.com/letsencrypt/pebble/v2/cmd/pebble",
        )],
        stamp: None,
    },
    Module {
        folder: "helm",
        programs: &[program("helm", "helm.sh/helm/v4/cmd/helm")],
        stamp: Some((
            "helm.sh/helm/v4",
            &["helm.sh/helm/v4/internal/version.version"],
        )),
    },
];

/// The folder of the module that only carries CRDs.
pub(crate) const CRDS: &str = "crds";

/// The CRDs: file in the cache, module path, folder or file in the module.
pub(crate) const CRD_SOURCES: &[(&str, &str, &str)] = &[
    (
        "cert-manager.yaml",
        "github.com/cert-manager/cert-manager",
        "deploy/crds",
    ),
    (
        "gateway-api.yaml",
        "sigs.k8s.io/gateway-api",
        "config/crd/standard",
    ),
    (
        "istio.yaml",
        "istio.io/api",
        "kubernetes/customresourcedefinitions.gen.yaml",
    ),
    (
        "prometheus-operator.yaml",
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd-full",
    ),
];

/// The flags that every program is built with.
pub(crate) const FLAGS: &[&str] = &["build", "-trimpath"];

/// Where the modules' sources lie: in this package, or where `PORTOLAN_TESTBED_MODULES` says.
pub(crate) fn sources() -> PathBuf {
    std::env::var_os("PORTOLAN_TESTBED_MODULES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("modules"),
        PathBuf::from,
    )
}

impl Module {
    /// The linker flags: no debug tables, and the version by which the program calls itself.
    ///
    /// # Errors
    /// When the module's `go.mod` cannot be read or does not name the version.
    pub(crate) fn ldflags(&self) -> Result<String> {
        let mut flags = "-s -w".to_owned();
        let Some((path, variables)) = self.stamp else {
            return Ok(flags);
        };
        let file = sources().join(self.folder).join("go.mod");
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let version = required_version(&text, path)
            .with_context(|| format!("{}: {path} is not required", file.display()))?;
        for variable in variables {
            flags.push_str(&format!(" -X {variable}={version}"));
            if let Some(base) = variable.strip_suffix("gitVersion") {
                let mut numbers = version.trim_start_matches('v').split('.');
                for (name, number) in [("gitMajor", numbers.next()), ("gitMinor", numbers.next())] {
                    flags.push_str(&format!(" -X {base}{name}={}", number.unwrap_or_default()));
                }
            }
        }
        Ok(flags)
    }
}

/// The hash of a module's sources and of how it is built: equal hash, equal programs.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn hash(folder: &str, ldflags: &str) -> Result<String> {
    let root = sources().join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut sum = Sha256::new();
    sum.update(format!(
        "{FLAGS:?} CGO_ENABLED=0 {ldflags} {}\n",
        std::env::consts::ARCH
    ));
    for file in files {
        sum.update(format!("{}\n", file.strip_prefix(&root)?.display()));
        sum.update(fs::read(&file).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(hex::encode(sum.finalize()).chars().take(12).collect())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)
        .with_context(|| format!("{}: not there; run testbed from its clone", dir.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The version of a module in the text of a `go.mod`: in a `require` line or block, not in a `replace`.
fn required_version(go_mod: &str, path: &str) -> Option<String> {
    let mut lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    lines.find_map(|line| {
        line.strip_prefix(path)?
            .strip_prefix(' ')?
            .split(' ')
            .next()
            .filter(|v| v.starts_with('v'))
            .map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_require_lines() {
        let text = "module x\nreplace k8s.io/api => k8s.io/api v0.36.3\nrequire (\n\tk8s.io/api v0.37.0\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n";
        assert_eq!(
            required_version(text, "k8s.io/kubernetes").as_deref(),
            Some("v1.36.3")
        );
        assert_eq!(
            required_version(text, "k8s.io/api").as_deref(),
            Some("v0.37.0")
        );
        assert_eq!(required_version(text, "k8s.io"), None);
    }

    #[test]
    fn every_committed_module_can_be_stamped_and_hashed() {
        for module in ALL {
            let flags = module.ldflags().unwrap();
            assert_eq!(
                hash(module.folder, &flags).unwrap().len(),
                12,
                "{}",
                module.folder
            );
        }
        let kubernetes = ALL[0].ldflags().unwrap();
        assert!(
            kubernetes.contains("version.gitMajor=1 ")
                && kubernetes.contains("version.gitMinor=36"),
            "{kubernetes}"
        );
    }
}
