# `make demo CLUSTER=current`: on the cluster that kubectl points to, after saying which one that is.
# shellcheck shell=bash
: "${IMAGE_REGISTRY:?set IMAGE_REGISTRY to a registry that this cluster can pull from (make images writes what to push there)}"
: "${APP_IMAGE:?set APP_IMAGE to a web server image that listens on port 8080 and this cluster can pull}"
: "${ISSUER:?set ISSUER to a ClusterIssuer of this cluster (kubectl get clusterissuers)}"
: "${CLASS_DOMAIN:?set CLASS_DOMAIN to a domain that the issuer signs for}"
# The images of `make images` carry the version of the chart.
IMAGE_TAG=${IMAGE_TAG:-$(awk '/^appVersion:/ {print $2}' charts/portolan/Chart.yaml)}
export ISSUER CLASS_DOMAIN IMAGE_TAG
domain=$CLASS_DOMAIN
context=$(kubectl config current-context)
server=$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')
printf 'context %s, server %s\nPortolan is installed there in namespace portolan-system, and an application in namespace demo.\n' "$context" "$server" >&2
if [ "${YES:-}" != 1 ]; then
  [ -t 0 ] || die "CLUSTER=current asks before it changes a cluster; run it in a terminal or with YES=1"
  read -r -p "Go on? [y/N] " answer
  [ "$answer" = y ] || die "nothing was changed"
fi
app=$(mktemp)
sed "s#portolan.test/echo:dev#$APP_IMAGE#" examples/demo/app.yaml >"$app"
install_flags=(--set "image.registry=$IMAGE_REGISTRY")
ca=${CA_FILE:-/etc/ssl/certs/ca-certificates.crt}
try_first=''
down_hint=' CLUSTER=current'
