use super::*;
use std::fs;
use std::path::Path;

/// Checks files, and returns a line for each finding.
fn check(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    lines(&report(folder.path(), false), folder.path())
}

fn report(folder: &Path, strict: bool) -> CheckReport {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    CheckReport::of(&Model::read(&[folder.to_owned()], now), strict)
}

fn lines(report: &CheckReport, folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    report.lines(&mut out, false).unwrap();
    let text = String::from_utf8(out).unwrap();
    let folder = format!("{}/", folder.display());
    text.lines().map(|line| line.replace(&folder, "")).collect()
}

fn exposed(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata: {{name: {name}, namespace: t}}\nspec:\n{spec}\n---\n"
    )
}

const SHOP: &str = "  selector: {app: shop}\n  port: 8080\n  hostnames: [shop.test]";

#[test]
fn ignores_what_depends_on_the_cluster() {
    assert_eq!(check(&[("shop.yaml", &exposed("shop", SHOP))]), [""; 0]);
    let short = SHOP.replace("shop.test", "shop.*");
    assert_eq!(check(&[("shop.yaml", &exposed("shop", &short))]), [""; 0]);
}

#[test]
fn an_error_has_the_line_of_its_field() {
    let spec = SHOP.replace("shop.test", "shop.test, \"-a.test\"");
    let findings = check(&[("shop.yaml", &(exposed("a", SHOP) + &exposed("shop", &spec)))]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].starts_with(
            "shop.yaml:15: error: ExposedPort t/shop: spec.hostnames[1]: Invalid value: \"-a.test\": label \"-a\""
        ),
        "{findings:?}"
    );
}

#[test]
fn syntax_errors_and_unknown_fields_are_errors() {
    let typo = exposed("shop", &format!("{SHOP}\n  prot: 1"));
    let findings = check(&[("a.yaml", "kind: [\n"), ("b.yaml", &typo)]);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("a.yaml:"), "{findings:?}");
    assert!(
        findings[1].starts_with("b.yaml:8: error: ExposedPort t/shop: spec.prot: "),
        "{findings:?}"
    );
}

#[test]
fn missing_references_are_warnings_or_strict_errors() {
    let routes = "  hostnames: [shop.test]\n  routes:\n  - backends: [{service: a, port: 80}]\n  - match: {path: {prefix: /b}}\n    delegate: {name: b}\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.yaml"), exposed("shop", routes)).unwrap();
    let findings = lines(&report(folder.path(), false), folder.path());
    let starts = [
        "x.yaml:7: warning: ExposedPort t/shop: spec.routes[0].backends[0]",
        "x.yaml:9: warning: ExposedPort t/shop: spec.routes[1].delegate",
    ];
    assert_eq!(findings.len(), 2, "{findings:?}");
    for (line, start) in findings.iter().zip(starts) {
        assert!(line.starts_with(start), "{findings:?}");
    }
    let strict = report(folder.path(), true);
    assert_eq!((strict.errors, strict.warnings), (2, 0));
}

#[test]
fn a_hostname_conflict_is_an_error_of_the_later_object() {
    let theirs = exposed("shop", SHOP).replace("namespace: t", "namespace: u");
    let findings = check(&[("x.yaml", &(exposed("shop", SHOP) + &theirs))]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].contains("ExposedPort u/shop") && findings[0].contains("error"),
        "{findings:?}"
    );
}

#[test]
fn a_missing_class_is_a_warning() {
    let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: inner}\nspec: {default: true}\n---\n";
    let other = exposed("other", &format!("{SHOP}\n  className: outer"));
    let findings = check(&[(
        "x.yaml",
        &(class.to_owned() + &exposed("shop", SHOP) + &other),
    )]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].contains("warning: ExposedPort t/other: spec.className"),
        "{findings:?}"
    );
}

#[test]
fn an_error_of_a_class_does_not_affect_its_objects() {
    let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: public}\nspec:\n  default: true\n  defaults:\n    retries: {count: 11}\n    timeouts:\n      idle: soon\n---\n";
    let findings = check(&[("x.yaml", &(class.to_owned() + &exposed("shop", SHOP)))]);
    assert_eq!(findings.len(), 2, "{findings:?}");
    for (line, start) in findings.iter().zip([
        "x.yaml:7: error: ExposeClass public: spec.defaults.retries.count: Invalid value: 11: must be",
        "x.yaml:9: error: ExposeClass public: spec.defaults.timeouts.idle: Invalid value: \"soon\": must be",
    ]) {
        assert!(line.starts_with(start), "{findings:?}");
    }
}

#[test]
fn the_summary_has_counts_and_skipped_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n";
    let text = exposed("shop", SHOP) + other;
    fs::write(folder.path().join("x.yaml"), text).unwrap();
    assert_eq!(
        report(folder.path(), false).summary(),
        "1 ExposedPort in 1 file: 0 errors, 0 warnings; skipped: 1 ConfigMap; assumed to exist: ExposeClass public"
    );
}

fn ingress(class: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: t, annotations: {{nginx.ingress.kubernetes.io/rewrite-target: /}}}}
spec:
  ingressClassName: {class}
  rules:
  - host: web.test
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service: {{name: {service}, port: {{number: 80}}}}
  - http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: shop, port: {{number: 80}}}}}}}}
---
"
    )
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: t}\nspec: {ports: [{port: 80}], selector: {app: shop}}\n---\n";

#[test]
fn checks_ingresses_of_portolan_in_their_own_fields() {
    let findings = check(&[("a.yaml", &(ingress("public", "none") + SERVICE))]);
    let expected = [
        "a.yaml:13: warning: Ingress t/web: spec.rules[0].http.paths[0].backend.service.name: Not found: Service \"none\" not found;",
        "a.yaml:14: error: Ingress t/web: spec.rules[1].host: Required value: a host",
        "a.yaml:3: warning: Ingress t/web: metadata.annotations: Unsupported value: nginx.ingress.kubernetes.io/rewrite-target: ignored",
    ];
    for message in expected {
        assert!(
            findings.iter().any(|line| line.starts_with(message)),
            "{message}: {findings:#?}"
        );
    }
    assert_eq!(findings.len(), 3, "{findings:#?}");
    assert_eq!(check(&[("a.yaml", &ingress("nginx", "none"))]), [""; 0]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), ingress("nginx", "none")).unwrap();
    let report = report(folder.path(), false);
    assert_eq!((report.ingresses, report.skipped["Ingress"]), (0, 1));
    // An IngressClass may reference a class.
    let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: edge}\nspec: {}\n---\n";
    let named = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx}\nspec: {controller: portolan.dev/ingress, parameters: {apiGroup: portolan.dev, kind: ExposeClass, name: edge}}\n---\n";
    let findings = check(&[(
        "a.yaml",
        &(ingress("nginx", "shop") + SERVICE + class + named),
    )]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
}
