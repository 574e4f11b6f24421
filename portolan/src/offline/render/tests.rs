use super::*;
use std::fs;

fn rendered(text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    fs::write(&file, text).unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let model = Model::read(&[file], now);
    assert!(model.diagnostics.is_empty(), "{:?}", model.diagnostics);
    serde_json::to_value(Rendered::of(&model).unwrap()).unwrap()
}

const SHOP: &str = "\
apiVersion: portolan.dev/v1alpha1
kind: ExposedPort
metadata: {name: shop, namespace: t}
spec:
  selector: {app: shop}
  port: 8080
  hostnames: [shop.test]
  policy:
    timeouts: {response: 90s}
  routes:
  - match: {path: {prefix: /}}
  - match: {path: {prefix: /slow}}
    timeouts: {response: 5m, idle: 0s}
  - match: {path: {exact: /old}}
    redirect: {path: /new, status: 308}
";

#[test]
fn renders_the_children_of_the_operator() {
    let all = rendered(SHOP);
    let one = &all["exposedPorts"][0];
    assert_eq!(
        (&one["namespace"], &one["name"]),
        (&"t".into(), &"shop".into())
    );
    assert!(one["location"].as_str().unwrap().ends_with("shop.yaml:1"));
    let children = one["children"].as_array().unwrap();
    let kinds: Vec<_> = children
        .iter()
        .map(|child| child["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Service", "Ingress", "Certificate"]);
    assert_eq!(one["status"]["summary"]["status"], "Pending");
}

#[test]
fn routes_have_every_effective_value() {
    let all = rendered(SHOP);
    let host = &all["virtualHosts"][0];
    assert_eq!(host["hostname"], "shop.test");
    assert_eq!(host["tls"]["minVersion"], "1.2");
    let routes = host["routes"].as_array().unwrap();
    assert_eq!(routes[0]["redirect"]["path"]["path"], "/new");
    assert_eq!(routes[0].get("timeouts"), None, "no endpoint is involved");
    assert_eq!(
        routes[1]["timeouts"],
        serde_json::json!({"connect": "5s", "response": "5m", "request": "1m", "idle": "0s"})
    );
    assert_eq!(routes[2]["timeouts"]["response"], "1m30s", "of the object");
    assert_eq!(routes[2]["match"]["path"]["prefix"], "/");
    assert_eq!(routes[2]["backends"][0]["weight"], 1);
}

#[test]
fn the_class_provides_defaults() {
    let class = "\
---
apiVersion: portolan.dev/v1alpha1
kind: ExposeClass
metadata: {name: public}
spec:
  default: true
  defaults:
    timeouts: {response: 7s, idle: 7s, request: 7s}
    websockets: false
";
    let all = rendered(&(SHOP.to_owned() + class));
    let routes = all["virtualHosts"][0]["routes"].as_array().unwrap();
    let timeouts = |response, request, idle| serde_json::json!({"connect": "5s", "response": response, "request": request, "idle": idle});
    assert_eq!(routes[1]["timeouts"], timeouts("5m", "7s", "0s"));
    assert_eq!(routes[2]["timeouts"], timeouts("1m30s", "7s", "7s"));
    assert_eq!(routes[2]["websockets"], false);
}

#[test]
fn an_invalid_object_has_only_a_status() {
    let all = rendered(&SHOP.replace("shop.test", "-shop.test"));
    let one = &all["exposedPorts"][0];
    assert_eq!(one["status"]["summary"]["status"], "Invalid");
    assert_eq!(one["children"], serde_json::json!([]));
    assert_eq!(all["virtualHosts"], serde_json::json!([]));
}

#[test]
fn a_class_has_the_policies_of_restricted_namespaces() {
    let more = "\
---
apiVersion: v1
kind: Namespace
metadata: {name: t, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: portolan.dev/v1alpha1
kind: ExposeClass
metadata: {name: public}
spec:
  default: true
  networkPolicy: {mode: Restrict, namespaceSelector: {matchLabels: {team: shop}}}
";
    let all = rendered(&(SHOP.to_owned() + more));
    let class = &all["exposeClasses"][0];
    assert_eq!(class["name"], "public");
    let policies = class["networkPolicies"].as_array().unwrap();
    let namespaces: Vec<_> = policies
        .iter()
        .map(|policy| &policy["metadata"]["namespace"])
        .collect();
    assert_eq!(namespaces, ["t"]);
    assert_eq!(policies[0]["spec"]["podSelector"], serde_json::json!({}));
}

#[test]
fn omits_private_keys() {
    let pair = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: own, namespace: t}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        chain.trim().replace('\n', "\n    "),
        key.trim().replace('\n', "\n    ")
    );
    let shop = format!("{SHOP}  tls: {{secret: {{name: own}}}}\n");
    let all = rendered(&(shop + &secret));
    let host = &all["virtualHosts"][0];
    assert_eq!(host["tls"]["certificates"], serde_json::json!(["t/own"]));
    assert!(!all.to_string().contains("PRIVATE KEY"));
}

#[test]
fn renders_hostnames_of_ingresses() {
    let all = rendered(
        "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: t}
spec:
  ingressClassName: public
  tls: [{hosts: [web.test]}]
  rules:
  - host: web.test
    http:
      paths:
      - {path: /old, pathType: Exact, backend: {service: {name: shop, port: {number: 80}}}}
",
    );
    let one = &all["ingresses"][0];
    assert_eq!(
        (&one["name"], &one["hostname"]),
        (&"web".into(), &"web.test".into())
    );
    assert!(one["location"].as_str().unwrap().ends_with("shop.yaml:1"));
    assert_eq!(one["children"][0]["kind"], "Certificate");
    let host = &all["virtualHosts"][0];
    assert_eq!(host["hostname"], "web.test");
    let description = one["status"]["description"].as_str().unwrap();
    let field = "spec.rules[0].http.paths[0].backend.service.name: ";
    assert!(description.starts_with(field), "{description}");
}
