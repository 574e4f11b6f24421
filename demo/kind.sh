# `make demo CLUSTER=kind`: a kind cluster with cert-manager from its public chart, and the images built here.
# shellcheck shell=bash
kubeconfig_dir="$cache/kind"; mkdir -p "$kubeconfig_dir"
export KUBECONFIG="$kubeconfig_dir/kubeconfig"
if ! kind get clusters 2>/dev/null | grep -qx portolan; then
  say "a kind cluster"
  kind create cluster --config kind-config/kind.yaml --wait 120s
fi
kind export kubeconfig --name portolan --kubeconfig "$KUBECONFIG"
say "cert-manager, and a certificate authority for the demo"
helm upgrade --install cert-manager oci://quay.io/jetstack/charts/cert-manager --version v1.21.2 \
  --namespace cert-manager --create-namespace --set crds.enabled=true --wait --timeout 300s >&2
kubectl apply -f kind-config/issuer.yaml >&2
kubectl wait --for=condition=Ready --timeout=60s clusterissuer/portolan-test-ca >&2
ca="$kubeconfig_dir/ca.crt"
kubectl -n cert-manager get secret portolan-test-ca -o jsonpath='{.data.tls\.crt}' | base64 -d >"$ca"
say "the images"
build_images dev "$cache/images"
(cd tests/cluster/modules/images && CGO_ENABLED=0 go build -trimpath -o "$cache/images/echo" ./echo)
for image in portolan portolan-proxy; do
  testbed image "portolan.dev/$image:dev" "$cache/images/$image" --output "$cache/images/$image.tar"
  kind load image-archive "$cache/images/$image.tar" --name portolan
done
testbed image portolan.test/echo:dev "$cache/images/echo" --output "$cache/images/echo.tar"
kind load image-archive "$cache/images/echo.tar" --name portolan
# kind gives no address to a Service of type LoadBalancer: the demo reaches the proxies through kubectl instead.
install_flags=(--set class.proxy.service.type=ClusterIP)
address=127.0.0.1 port=18443
(
  for _ in $(seq 600); do
    service=$(kubectl -n portolan-system get service -l portolan.dev/class=public -o name 2>/dev/null | head -n 1)
    [ -z "$service" ] || kubectl -n portolan-system port-forward "$service" "$port:443" >/dev/null 2>&1 || true
    sleep 0.5
  done
) &
forwarder=$!
trap 'pkill -P "$forwarder" 2>/dev/null; kill "$forwarder" 2>/dev/null' EXIT
try_first="  export KUBECONFIG=$KUBECONFIG
"
down_hint=' CLUSTER=kind'
