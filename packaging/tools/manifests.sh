#!/usr/bin/env bash
# Renders packaging/kubernetes from the Helm chart: packaging/tools/manifests.sh [FOLDER]     Needs helm. FOLDER is
# packaging/kubernetes unless it is given.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-packaging/kubernetes}
mkdir -p "$folder"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
chart=$(mktemp -d)
trap 'rm -rf "$chart"' EXIT
cp -r packaging/helm/waypost/. "$chart"
sed -i "s/^version: .*/version: $version/; s/^appVersion: .*/appVersion: \"$version\"/" "$chart/Chart.yaml"

rendered() { # more arguments
    helm template waypost "$chart" --set auth.existingSecret=waypost --kube-version 1.29.0 "$@" |
        grep -vE '^# Source: |^ *helm.sh/chart: |^ *app.kubernetes.io/managed-by: '
}
{
    cat <<'END'
# Three nodes of Waypost, from one template. Rendered from packaging/helm/waypost by packaging/tools/manifests.sh.
#
#   kubectl create namespace waypost
#   kubectl -n waypost create secret generic waypost --from-literal=admin-token=$(openssl rand -hex 32) \
#       --from-literal=peer-key=$(openssl rand -hex 32)
#   kubectl -n waypost apply -f waypost.yaml
#   kubectl -n waypost rollout status statefulset/waypost
END
    rendered
} >"$folder/waypost.yaml"
{
    echo "# For the Prometheus operator: kubectl -n waypost apply -f servicemonitor.yaml"
    rendered --set serviceMonitor.enabled=true --show-only templates/servicemonitor.yaml
} >"$folder/servicemonitor.yaml"
